//go:build !race

package wire

// raceEnabled says that allocations are not those of production.
const raceEnabled = false
