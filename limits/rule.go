package limits

// Rule is one limit of a row. What is kept and sent is its name.
type Rule uint8

// The rules, in the order in which rows show them.
const (
	None Rule = iota
	// RPM is requests admitted in any rolling 60 seconds.
	RPM
	// TPM is tokens in any rolling 60 seconds.
	TPM
	// RPD is requests in a civil day.
	RPD
	// TPD is tokens in a civil day.
	TPD
	// MaxInFlight is calls that run at the same time.
	MaxInFlight
)

// Count is how many rules a row has.
const Count = int(MaxInFlight)

// Rules lists all rules in order.
func Rules() [Count]Rule { return [Count]Rule{RPM, TPM, RPD, TPD, MaxInFlight} }

// Names lists the names of all rules in order.
func Names() []string {
	names := make([]string, 0, Count)
	for _, rule := range Rules() {
		names = append(names, rule.String())
	}
	return names
}

// String returns the rule's name on the wire: rpm, tpm, rpd, tpd or max_in_flight.
func (r Rule) String() string {
	return [...]string{"none", "rpm", "tpm", "rpd", "tpd", "max_in_flight"}[min(r, MaxInFlight)]
}

// ParseRule returns the rule of a name, and whether there is one.
func ParseRule(name string) (Rule, bool) {
	for _, rule := range Rules() {
		if rule.String() == name {
			return rule, true
		}
	}
	return None, false
}

// CountsTokens reports whether the rule counts tokens, of the row's type.
func (r Rule) CountsTokens() bool { return r == TPM || r == TPD }

// PerDay reports whether the rule counts in civil days.
func (r Rule) PerDay() bool { return r == RPD || r == TPD }
