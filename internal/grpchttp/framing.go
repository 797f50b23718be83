package grpchttp

import (
	"encoding/binary"
	"math"
)

// Framing follows the messages in the body of a gRPC answer: in front of each
// stand a flag and its length in four bytes ("gRPC over HTTP2",
// Length-Prefixed-Message). The zero Framing is at the beginning of a body.
type Framing struct {
	prefix [5]byte
	have   int    // of prefix
	left   uint32 // of the message behind it
}

// Between reports whether no message is under way.
func (f *Framing) Between() bool { return f.have == 0 && f.left == 0 }

// Missing returns how many bytes the message under way lacks, as far as is known.
func (f *Framing) Missing() int {
	if f.left == 0 {
		return len(f.prefix) - f.have
	}
	return int(min(int64(f.left), math.MaxInt))
}

// Advance follows p until a message is over, and returns how much of p that is.
func (f *Framing) Advance(p []byte) (n int) {
	for n < len(p) {
		if f.left > 0 {
			got := min(len(p)-n, f.Missing())
			f.left -= uint32(got)
			n += got
		} else {
			got := copy(f.prefix[f.have:], p[n:])
			f.have += got
			n += got
			if f.have == len(f.prefix) {
				f.left, f.have = binary.BigEndian.Uint32(f.prefix[1:]), 0
			}
		}
		if f.Between() {
			break
		}
	}
	return n
}
