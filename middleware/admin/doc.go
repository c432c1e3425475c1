// Package admin is the administration of keys and credit over REST: the native
// API under /admin/, and the key and model routes of the aiXplain SDK under
// /sdk/ and /v2/models/. It is plain net/http.
//
// Every write is durable in the ledger before its 2xx reply. The text of a key
// is in the replies that create or rotate it and nowhere else.
//
// Admin keys manage, member keys see only themselves. An admin key belongs to
// one owner and manages that owner's keys; one made with all_owners manages
// every owner, and only such a key adds accounts and credit.
package admin
