package prefix

import "math"

// Rank returns how much a server is entitled to a hash: of all servers the one with the highest
// rank owns it. That is rendezvous hashing: everyone who knows the same servers agrees, shares
// follow the weights, and a server that goes takes only what it owned. seed stands for the
// server and is the same for everyone; weight is above 0.
func Rank(hash, seed uint64, weight float64) float64 {
	uniform := (float64(mix(hash^seed)>>11) + .5) / (1 << 53) // between 0 and 1
	return -weight / math.Log(uniform)
}

// mix spreads the bits of a number (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
