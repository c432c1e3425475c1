package cpu

import "math"

// rope turns pairs of dimensions of queries and keys by angles that grow with
// the position (rotary position embedding, arXiv:2104.09864).
type rope struct {
	frequencies []float64 // angle of each pair per position
	magnitude   float64
	halves      bool // pairs are (i, i+n/2), otherwise (2i, 2i+1)
	size        int  // dimensions of a head that are turned
}

// newRope works out the frequencies. divisors, which may be nil, divide them one
// by one, as models with a stretched context prescribe.
func newRope(s *shape, divisors []float32) *rope {
	r := &rope{frequencies: make([]float64, s.rotated/2), magnitude: 1, halves: s.halves, size: s.rotated}
	for i := range r.frequencies {
		r.frequencies[i] = math.Pow(s.rope.base, -2*float64(i)/float64(s.rotated))
		if divisors != nil {
			r.frequencies[i] /= float64(divisors[i])
		}
	}
	switch s.rope.scaling {
	case "linear":
		for i := range r.frequencies {
			r.frequencies[i] /= s.rope.factor
		}
	case "yarn":
		r.blend(&s.rope)
	}
	return r
}

// blend scales by YaRN (arXiv:2309.00071, section 3): pairs that turn often keep
// their frequency, pairs that turn less than once are interpolated, those
// between are blended linearly. The magnitude follows its equation 22.
func (r *rope) blend(s *ropeShape) {
	pairAt := func(rotations float64) float64 {
		return float64(r.size) * math.Log(s.original/(rotations*2*math.Pi)) / (2 * math.Log(s.base))
	}
	low := math.Max(0, math.Floor(pairAt(s.fast)))
	high := math.Min(float64(r.size-1), math.Ceil(pairAt(s.slow)))
	for i := range r.frequencies {
		along := (float64(i) - low) / math.Max(0.001, high-low)
		keep := 1 - math.Min(1, math.Max(0, along))
		r.frequencies[i] *= keep + (1-keep)/s.factor
	}
	r.magnitude = s.attention
	if s.factor > 1 {
		r.magnitude *= 1 + 0.1*math.Log(s.factor)
	}
}

// angles fills turns with the cosine and the sine of each pair at a position.
func (r *rope) angles(turns []float32, position int32) {
	for i, frequency := range r.frequencies {
		sine, cosine := math.Sincos(float64(position) * frequency)
		turns[2*i] = float32(cosine * r.magnitude)
		turns[2*i+1] = float32(sine * r.magnitude)
	}
}

// turn writes a turned head to dst, multiplied by scale.
func (r *rope) turn(dst, head, turns []float32, scale float32) {
	pairs := r.size / 2
	if r.halves {
		for i := range pairs {
			cosine, sine := turns[2*i], turns[2*i+1]
			a, b := head[i], head[i+pairs]
			dst[i] = (a*cosine - b*sine) * scale
			dst[i+pairs] = (a*sine + b*cosine) * scale
		}
	} else {
		for i := 0; i < 2*pairs; i += 2 {
			cosine, sine := turns[i], turns[i+1]
			a, b := head[i], head[i+1]
			dst[i] = (a*cosine - b*sine) * scale
			dst[i+1] = (a*sine + b*cosine) * scale
		}
	}
	for i := r.size; i < len(head); i++ {
		dst[i] = head[i] * scale
	}
}
