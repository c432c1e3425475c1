//go:build race

package ledger

// raceEnabled makes long tests shorter under the race detector.
const raceEnabled = true
