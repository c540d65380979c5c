// Stores the contents FIRST to LAST under a path, one after the other.
import { Readable } from 'node:stream';
import { store } from './store.mjs';

process.umask(0o027);
const [path, first, last] = process.argv.slice(2);
for (let number = Number(first); number <= Number(last); number++) {
  const content = Buffer.from(String(number).padStart(8, '0').repeat(20000));
  await store(path, number % 2 ? content : Readable.from([content.subarray(0, 70000), content.subarray(70000)]));
}
