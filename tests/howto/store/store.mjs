import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export async function store(path, source) {
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.upload-${randomUUID()}`);
  const file = await open(temporary, 'wx');
  try {
    await file.writeFile(source);
    await file.sync();
    await rename(temporary, path);
  } finally {
    await file.close();
    await rm(temporary, { force: true });
  }
}
