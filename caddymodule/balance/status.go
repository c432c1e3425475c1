package balance

// Status is how the upstreams of a policy are at one moment.
type Status struct {
	Upstreams int // that the proxy lists; dynamic ones are not known
	Failing   int // of those: down by a health check, or left alone because calls failed
}

// Status returns how the policy's upstreams are now.
func (p *Policy) Status() Status {
	status := Status{Upstreams: len(p.pool)}
	for i, upstream := range p.pool {
		if p.choice.cooling[i].Failing() || upstream.Host != nil && !upstream.Healthy() {
			status.Failing++
		}
	}
	return status
}

// Listed returns what is known about the upstreams that the proxy lists.
func (p *Policy) Listed() []Upstream { return p.describe(p.pool) }
