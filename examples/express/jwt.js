// An Express application that signs users in with a JSON Web Token. The gateway verifies it with the key at /jwks.json.
import express from "express";
import { SignJWT, exportJWK, generateKeyPair, jwtVerify } from "jose";
import { authenticate, page, store, upload } from "./photos.js";

const issuer = "https://cars.example";
const audience = "media";
// In production, the key is kept in a file, so that a restart signs nobody out.
const { publicKey, privateKey } = await generateKeyPair("ES256");
const jwk = { ...(await exportJWK(publicKey)), kid: "1", alg: "ES256", use: "sig" };

const app = express();
app.use(express.urlencoded());

app.use(async (request, response, next) => {
  const token = /(?:^|; )access_token=([^;]*)/.exec(request.headers.cookie ?? "")?.[1];
  if (token) {
    const verified = await jwtVerify(token, publicKey, { issuer, audience }).catch(() => undefined);
    if (verified) request.user = { id: verified.payload.sub, name: verified.payload.name };
  }
  next();
});

app.get("/", (request, response) => response.send(page(request.user)));

app.post("/sign-in", async (request, response) => {
  const user = authenticate(request.body.name, request.body.password);
  if (!user) return response.status(401).send("wrong name or password");
  const token = await new SignJWT({ name: user.name })
    .setProtectedHeader({ alg: "ES256", kid: "1" })
    .setSubject(user.id).setIssuer(issuer).setAudience(audience).setIssuedAt().setExpirationTime("15m")
    .sign(privateKey);
  response.cookie("access_token", token, { httpOnly: true, sameSite: "lax" }).redirect(303, "/");
});

app.post("/sign-out", (request, response) => response.clearCookie("access_token").redirect(303, "/"));

app.post("/photo", (request, response, next) => (request.user ? next() : response.sendStatus(401)),
  upload.single("photo"), async (request, response) => {
    await store(request.user, request.file);
    response.redirect(303, "/");
  });

app.get("/jwks.json", (request, response) => response.json({ keys: [jwk] }));

app.listen(process.env.PORT ?? 9000, "127.0.0.1");
