package runtime

import (
	"slices"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
)

// Settings are those that hold from the first configuration of a process to its end.
// What is zero has the default of the ledger or of the limiter.
type Settings struct {
	Zone *time.Location

	OnCrash       ledger.CrashPolicy
	DiskReserve   int64 // bytes
	SnapshotEvery int64 // entries

	Strict     bool
	MaxScopes  int
	LogEntries int
	Redis      Redis

	// TakeOver says that the ledger is taken over from a process that has it open.
	TakeOver bool
}

// ledger returns the settings as the ledger takes them.
func (s *Settings) ledger() []ledger.Option {
	options := []ledger.Option{ledger.WithZone(s.Zone), ledger.WithCrashPolicy(s.OnCrash)}
	if s.DiskReserve > 0 {
		options = append(options, ledger.WithReserve(s.DiskReserve))
	}
	if s.SnapshotEvery > 0 {
		options = append(options, ledger.WithSnapshotEvery(s.SnapshotEvery))
	}
	return options
}

// limiter returns the settings as the limiter takes them.
func (s *Settings) limiter() []limiter.Option {
	options := []limiter.Option{limiter.WithZone(s.Zone), limiter.WithMaxKeys(s.MaxScopes)}
	if s.Strict {
		options = append(options, limiter.WithStrict())
	}
	if s.LogEntries > 0 {
		options = append(options, limiter.WithEntries(s.LogEntries))
	}
	return options
}

// Changed returns the names of the options that other settings have other values of.
func (s *Settings) Changed(to *Settings) []string {
	var names []string
	for name, same := range map[string]bool{
		"zone":           s.Zone.String() == to.Zone.String(),
		"on_crash":       s.OnCrash == to.OnCrash,
		"disk_reserve":   s.DiskReserve == to.DiskReserve,
		"snapshot_every": s.SnapshotEvery == to.SnapshotEvery,
		"limiter":        s.Strict == to.Strict && s.MaxScopes == to.MaxScopes && s.LogEntries == to.LogEntries && s.Redis == to.Redis,
	} {
		if !same {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
