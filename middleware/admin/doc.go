// Package admin is the administration of keys and credit over REST: the native API
// under /admin/, and the key and model routes of the aiXplain SDK under /sdk/ and
// /v2/models/. It is plain net/http.
//
//	accounts, err := ledger.Open(ctx, store)
//	...
//	counters := limiter.New()
//	handler := admin.New(accounts, counters,
//		admin.WithAdminKeySHA256(sha256.Sum256(secret)), // who makes the first keys
//		admin.WithDefaultLimits(limits.Row{RPM: 60, TPM: 30_000}))
//	http.Handle("/admin/", handler)
//	http.Handle("/sdk/", handler)
//	http.Handle("/v2/models/", handler)
//
// Admin keys manage, member keys see only themselves. An admin key belongs to one owner
// and manages that owner's keys. One made with all_owners manages every owner, and only
// such a key adds accounts and credit.
//
// GET /admin/openapi.json describes every route. What it says of a route stands beside
// its handler in one table, routes.go for the native API.
//
// # Caveats
//
//   - The text of a key is in the replies that create or rotate it and nowhere else: who
//     loses it rotates the key.
//   - Every write is durable in the ledger before its 2xx reply. A reply that did not
//     arrive says nothing: send the request again with the same Idempotency-Key.
//   - Failed attempts to authenticate are counted per address. Behind a proxy set
//     [WithClientAddress], or all callers are one.
//   - Where a configuration is reloaded, hand the same [Throttle] to the next handler, or
//     each reload gives an attacker new attempts.
package admin
