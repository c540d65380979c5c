import os
import shutil
import uuid


def store(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".upload-{uuid.uuid4()}")
    try:
        with temporary.open("xb") as file:
            shutil.copyfileobj(source, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
