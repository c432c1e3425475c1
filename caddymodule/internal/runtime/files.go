// Package runtime holds what lives longer than one configuration of Caddy.
package runtime

// AdminKeyFile is the file, in the ledger's folder, that holds the text of the demonstration's
// admin key. The command line looks for its key there.
const AdminKeyFile = "admin.key"
