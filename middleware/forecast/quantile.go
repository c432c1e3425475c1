package forecast

import "math/bits"

const (
	// bucketsPerOctave is how many buckets lie between a value and its double.
	bucketsPerOctave = 8
	// quantileBuckets reaches from 0 to 2^24.
	quantileBuckets = 22 * bucketsPerOctave
	// agedPerSample is by how much a new sample outweighs the one before: the last
	// 177 samples weigh as much as all older ones.
	agedPerSample = 1 + 1.0/256
	// heaviest is the weight of a sample at which all weights are scaled down.
	heaviest = 1 << 20
	// fewSamples is up to how many samples each one moves the quantile at once.
	fewSamples = 32
	// lookEvery is how many samples later ones wait for company.
	lookEvery = 8
)

// quantile is the value that all but one in twenty of the latest samples stay
// below, rounded up by at most an eighth. It forgets old samples bit by bit, and
// keeps a histogram of them whose buckets grow with their values. It is not safe
// for concurrent use.
type quantile struct {
	weights [quantileBuckets]float32
	total   float32
	newest  float32 // weight of the newest sample
	samples int64
	found   int64 // the quantile as it was last looked for
}

// add takes a sample into account.
func (q *quantile) add(sample int64) {
	q.newest = max(q.newest*agedPerSample, 1)
	if q.newest > heaviest {
		for i := range q.weights {
			q.weights[i] /= heaviest
		}
		q.newest /= heaviest
		q.total /= heaviest
	}
	q.weights[bucketOf(sample)] += q.newest
	q.total += q.newest
	if q.samples++; q.samples <= fewSamples || q.samples%lookEvery == 0 {
		q.found = q.look()
	}
}

// value returns the quantile. ok is false if there are no samples.
func (q *quantile) value() (value int64, ok bool) { return q.found, q.samples > 0 }

// look finds the quantile in the histogram.
func (q *quantile) look() int64 {
	above := float32(0)
	for i := quantileBuckets - 1; i > 0; i-- {
		above += q.weights[i]
		if above > q.total/20 {
			return bucketEnd(i)
		}
	}
	return bucketEnd(0)
}

// bucketOf returns the bucket of a sample. The first sixteen values have one each.
func bucketOf(sample int64) int {
	value := uint64(max(sample, 0))
	shift := max(bits.Len64(value)-4, 0)
	return min(shift*bucketsPerOctave+int(value>>shift), quantileBuckets-1)
}

// bucketEnd returns the largest value of a bucket.
func bucketEnd(bucket int) int64 {
	if bucket < 2*bucketsPerOctave {
		return int64(bucket)
	}
	shift := bucket/bucketsPerOctave - 1
	return (int64(bucket%bucketsPerOctave+bucketsPerOctave)+1)<<shift - 1
}
