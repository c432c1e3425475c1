// Package aixplain is the part of the administration that the aiXplain SDK talks to:
// API keys under /sdk/api-keys and models under /sdk/models and /v2/models, in the
// shapes that both generations of that SDK send and expect. Package admin serves it
// beside its own API; it is of no use alone.
//
//	client = APIKey.create(name="team-a", budget=12.5, global_limits=..., ...)
//
// is a POST to /sdk/api-keys and makes the same key as a POST to /admin/v1/keys would.
//
// # Caveats
//
//   - The SDK knows workspaces, not owners. The workspace of an admin key is its owner,
//     also where the key manages all owners.
//   - It finds keys by name, so names are unique here: a name that is taken is a 422.
//     The native API takes any name.
//   - It sends 0 for each limit that it leaves out, so 0 means no limit or, where the
//     configuration demands a limit, the highest that is allowed.
//   - A save replaces what the SDK knows of a key and leaves the rest (models, metadata,
//     networks, calls in flight) as it is. Its limits act from the next window on.
//   - It sleeps when it sees Retry-After and shows the status in the body, so refusals
//     have no such header and repeat their status.
package aixplain
