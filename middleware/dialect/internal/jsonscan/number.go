package jsonscan

import "math"

// numberState is how far a number has been read.
type numberState uint8

const (
	numberStart    numberState = iota // nothing yet
	numberMinus                       // a digit must follow
	numberZero                        // no digit may follow
	numberInteger                     // a digit of the integer part
	numberPoint                       // a digit must follow
	numberFraction                    // a digit of the fraction
	numberE                           // a sign or a digit must follow
	numberSign                        // a digit must follow
	numberExponent                    // a digit of the exponent
	numberBad                         // this is no JSON number
)

// maxExponent bounds the exponent. A number with a larger one is taken for one that does
// not fit.
const maxExponent = 1000

// Number reads a JSON number byte by byte. The zero Number is ready to use.
type Number struct {
	digits    int64 // all digits so far but the zeros at their end
	zeros     int32 // zeros at their end
	scale     int32 // how many digits stand after the point
	exponent  int16
	state     numberState
	negative  bool
	shrinking bool // the exponent is negative
	huge      bool // it does not fit
	first     byte
}

// Open says that a byte was added.
func (n *Number) Open() bool { return n.first != 0 }

// First returns the first byte that was added.
func (n *Number) First() byte { return n.first }

// Add reads the next byte of the number.
func (n *Number) Add(c byte) {
	if n.first == 0 {
		n.first = c
	}
	if c >= '0' && c <= '9' {
		n.digit(c - '0')
		return
	}
	next := numberBad
	switch {
	case c == '-' && n.state == numberStart:
		next, n.negative = numberMinus, true
	case c == '.' && (n.state == numberZero || n.state == numberInteger):
		next = numberPoint
	case (c == 'e' || c == 'E') && (n.state == numberZero || n.state == numberInteger || n.state == numberFraction):
		next = numberE
	case (c == '-' || c == '+') && n.state == numberE:
		next, n.shrinking = numberSign, c == '-'
	}
	n.state = next
}

func (n *Number) digit(digit byte) {
	switch n.state {
	case numberStart, numberMinus:
		n.state = numberInteger
		if digit == 0 {
			n.state = numberZero
		}
	case numberPoint, numberFraction:
		n.state = numberFraction
		n.scale = min(n.scale+1, math.MaxInt32-1)
	case numberE, numberSign, numberExponent:
		n.state = numberExponent
		if n.exponent = n.exponent*10 + int16(digit); n.exponent > maxExponent {
			n.exponent, n.huge = maxExponent, true
		}
		return
	case numberZero:
		n.state = numberBad
	}
	switch {
	case n.huge:
	case digit != 0:
		n.append(digit)
	case n.digits != 0:
		n.zeros = min(n.zeros+1, math.MaxInt32-1)
	}
}

// append adds a digit after the zeros that wait.
func (n *Number) append(digit byte) {
	if n.digits != 0 {
		for range n.zeros + 1 {
			if n.digits > math.MaxInt64/10 {
				n.huge = true
				return
			}
			n.digits *= 10
		}
		n.zeros = 0
	}
	if n.digits > math.MaxInt64-int64(digit) {
		n.huge = true
		return
	}
	n.digits += int64(digit)
}

// Valid says that the bytes are a JSON number, whether it fits or not.
func (n *Number) Valid() bool {
	switch n.state {
	case numberZero, numberInteger, numberFraction, numberExponent:
		return true
	}
	return false
}

// Whole returns the number if it is a whole one, however it is written: 65, 65.0 and
// 6.5e1 are the same. ok is false for everything else, and for what does not fit.
func (n *Number) Whole() (number int64, ok bool) {
	if n.huge || !n.Valid() {
		return 0, false
	}
	power := int64(n.exponent)
	if n.shrinking {
		power = -power
	}
	power += int64(n.zeros) - int64(n.scale)
	number = n.digits
	if number == 0 {
		return 0, true
	}
	if power < 0 {
		return 0, false
	}
	for ; power > 0; power-- {
		if number > math.MaxInt64/10 {
			return 0, false
		}
		number *= 10
	}
	if n.negative {
		number = -number
	}
	return number, true
}

// TimesUp returns a multiple of the number, rounded up to a whole one. ok is false for a
// negative number, and for what does not fit.
func (n *Number) TimesUp(factor int64) (product int64, ok bool) {
	if n.huge || n.negative || !n.Valid() || n.digits > math.MaxInt64/factor {
		return 0, false
	}
	power := int64(n.exponent)
	if n.shrinking {
		power = -power
	}
	power += int64(n.zeros) - int64(n.scale)
	product = n.digits * factor
	for ; power < 0 && product > 1; power++ {
		product = product/10 + min(product%10, 1)
	}
	for ; power > 0 && product > 0; power-- {
		if product > math.MaxInt64/10 {
			return 0, false
		}
		product *= 10
	}
	return product, true
}
