// What both applications share: two users, and storing a photo below the private root.
import { randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { mkdir, rename } from "node:fs/promises";
import path from "node:path";
import multer from "multer";

const root = path.resolve(process.env.PRIVATE_ROOT ?? "private");

const user = (id, name, password) => {
  const salt = randomBytes(16);
  return { id, name, salt, hash: scryptSync(password, salt, 32) };
};
const users = [user("7", "alice", "open sesame"), user("8", "bob", "open sesame")];

// Returns the user with this name and password, or undefined.
export const authenticate = (name, password) =>
  users.find((user) => user.name === name && timingSafeEqual(user.hash, scryptSync(String(password), user.salt, 32)));

// Uploads are written to a hidden folder of the same file system, which the gateway does not serve.
export const upload = multer({ dest: path.join(root, ".uploads"), limits: { fileSize: 20 << 20 } });

// Moves an upload to its place: it appears whole, and replaces the last one.
export const store = async (user, file) => {
  const folder = path.join(root, "cars", user.id);
  await mkdir(folder, { recursive: true });
  await rename(file.path, path.join(folder, "photo.jpg"));
};

export const page = (user) =>
  "<!doctype html><title>Cars</title>" +
  (user
    ? `<p>${user.name} <form method=post action=/sign-out><button>Sign out</button></form>
       <form method=post action=/photo enctype=multipart/form-data><input type=file name=photo><button>Upload</button></form>
       <img src="${process.env.MEDIA_URL ?? "http://127.0.0.1:8000/private/"}cars/${user.id}/photo.jpg" alt="My car">`
    : "<form method=post action=/sign-in><input name=name><input name=password type=password><button>Sign in</button></form>");
