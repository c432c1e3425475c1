// Package sdktest holds the tests that run the official OpenAI and Anthropic
// clients against the gate. They need node and npm; the clients' versions are
// pinned by the lockfile beside them.
package sdktest
