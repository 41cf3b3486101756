// Makes the replica set of one, if it is not there yet, and waits until it takes writes. Transactions need a replica set.
const admin = db.getSiblingDB("admin");
admin.auth("root", require("fs").readFileSync("/run/secrets/doorward/root-password", "utf8"));
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
}
while (!admin.hello().isWritablePrimary) sleep(100);
