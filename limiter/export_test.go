package limiter

// NeighborsForTest fixes the seed, so that every run of a trace is the same, and returns
// names of n keys that share a shard.
func (m *Memory) NeighborsForTest(n int) []string {
	m.names = hasher{0x9e3779b97f4a7c15, 0xd1b54a32d192ed03, 0x8cb92ba72f3d8dd7, 0xabc98388fb8fac03}
	return sameShard(m, "key 0", n)
}
