// An Express application with sessions. The gateway asks /whoami who sent a request.
import express from "express";
import session from "express-session";
import { authenticate, page, store, upload } from "./photos.js";

const app = express();
app.use(express.urlencoded());
// SameSite: other sites cannot send a form with this cookie. In production, the store is a database, and the secret is a setting.
app.use(session({
  name: "session",
  secret: process.env.SECRET ?? "change me",
  resave: false,
  saveUninitialized: false,
  cookie: { httpOnly: true, sameSite: "lax" },
}));

app.get("/", (request, response) => response.send(page(request.session.user)));

app.post("/sign-in", (request, response, next) => {
  const user = authenticate(request.body.name, request.body.password);
  if (!user) return response.status(401).send("wrong name or password");
  // A new session, so that nobody else knows its id.
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = { id: user.id, name: user.name };
    response.redirect(303, "/");
  });
});

app.post("/sign-out", (request, response, next) =>
  request.session.destroy((error) => (error ? next(error) : response.redirect(303, "/"))));

app.post("/photo", (request, response, next) => (request.session.user ? next() : response.sendStatus(401)),
  upload.single("photo"), async (request, response) => {
    await store(request.session.user, request.file);
    response.redirect(303, "/");
  });

app.get("/whoami", (request, response) => {
  const { user } = request.session;
  if (!user) return response.sendStatus(401);
  response.set({ "X-User-Id": user.id, "X-User-Name": user.name, "Cache-Control": "private, max-age=5" }).sendStatus(200);
});

app.listen(process.env.PORT ?? 9000, "127.0.0.1");
