package strictjson

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxDate is the last second that [Value.Date] returns, the end of the year 9999
// and of what JSON, HTTP and people write as a date.
const MaxDate = 253402300799

// Date returns the time that a NumericDate (RFC 7519 section 2) names, and
// whether v is a number between 0 and MaxDate, both included. Fractions of a
// second count, to the nanosecond.
func (v Value) Date() (time.Time, bool) {
	if v.Kind() != Number {
		return time.Time{}, false
	}
	raw := v.Raw()
	if sec, ok := plainSeconds(raw); ok {
		return time.Unix(sec, 0), true
	}
	if strings.ContainsAny(raw, "eE") {
		return floatDate(raw)
	}
	whole, fraction, _ := strings.Cut(raw, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	nsec := nanoseconds(fraction)
	if err != nil || sec < 0 || sec > MaxDate || sec == MaxDate && nsec > 0 || raw[0] == '-' && nsec > 0 {
		return time.Time{}, false
	}
	return time.Unix(sec, nsec), true
}

// plainSeconds reads what almost every date is: up to eleven digits.
func plainSeconds(raw string) (sec int64, ok bool) {
	if len(raw) > 11 {
		return 0, false
	}
	for i := range len(raw) {
		if !isDigit(raw[i]) {
			return 0, false
		}
		sec = 10*sec + int64(raw[i]-'0')
	}
	return sec, true
}

// nanoseconds reads the digits after the point.
func nanoseconds(fraction string) int64 {
	n := int64(0)
	for i := range 9 {
		n *= 10
		if i < len(fraction) {
			n += int64(fraction[i] - '0')
		}
	}
	return n
}

// floatDate reads a date with an exponent, which nobody writes who needs
// precision.
func floatDate(raw string) (time.Time, bool) {
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || f < 0 || f > MaxDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// plainNumber is the length up to which a number without exponent is in the
// range of float64.
const plainNumber = 308

// number reads a number (RFC 8259 section 6). One that is too large for float64
// is refused, because other readers would make it infinite or fail (RFC 7493
// section 2.2).
func (s *scanner) number() Problem {
	i, problem := s.open(Number)
	if problem != 0 {
		return problem
	}
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return BadNumber
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return BadNumber
		}
	}
	exponent := s.peek() == 'e' || s.peek() == 'E'
	if exponent {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return BadNumber
		}
	}
	s.nodes[i].end = uint32(s.at)
	if start := int(s.nodes[i].start); exponent || s.at-start > plainNumber {
		if _, err := strconv.ParseFloat(s.src[start:s.at], 64); err != nil {
			return HugeNumber
		}
	}
	return 0
}

// digits skips digits and reports whether there was one.
func (s *scanner) digits() bool {
	start, i := s.at, s.at
	for i < len(s.src) && isDigit(s.src[i]) {
		i++
	}
	s.at = i
	return i > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
