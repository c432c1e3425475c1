package runtime

// The files in a ledger's folder, beside the ledger itself.
const (
	// AdminKeyFile holds the text of the admin key that Bootstrap creates. The command line looks
	// for its key there.
	AdminKeyFile = "admin.key"
	// MemberKeyFile holds the text of the member's key that Bootstrap creates.
	MemberKeyFile = "demo.key"
	// CountersFile holds the limiter's counters while no process has the ledger open.
	CountersFile = "limits.state"
	// alertsFile says which alerts were sent.
	alertsFile = "alerts.json"
)
