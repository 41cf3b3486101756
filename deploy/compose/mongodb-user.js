// Run by the image once, on an empty database: the issuer's account, which may read and write its own database.
const password = require("fs").readFileSync("/run/secrets/doorward/issuer-password", "utf8");
db.getSiblingDB("doorward").createUser({
  user: "issuer",
  pwd: password,
  roles: [{ role: "readWrite", db: "doorward" }],
});
