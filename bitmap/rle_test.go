package bitmap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/bitmap"
)

// portRLE is the rule of the reference encoder, byte for byte.
func portRLE(in []byte) (out []byte) {
	for len(in) > 0 && in[len(in)-1] == 0 {
		in = in[:len(in)-1]
	}
	varintLen := func(n int) int { return len(binary.AppendUvarint(nil, uint64(n))) }
	done := 0 // bytes of the input that are encoded
	literal := func(end int) {
		if n := end - done; n > 0 {
			out = binary.AppendUvarint(out, uint64(2*n))
			out = append(out, in[done:end]...)
		}
	}
	run, n := byte(0), 0
	finished := func(i int) {
		if n == 0 {
			return
		}
		head := i - n - done
		headCost := 0
		if head > 0 {
			headCost = varintLen(2*head) + head
		}
		v := 4*n + 1
		if run != 0 {
			v += 2
		}
		if headCost+varintLen(v) >= varintLen(2*(i-done))+i-done {
			return
		}
		literal(i - n)
		out = binary.AppendUvarint(out, uint64(v))
		done = i
	}
	for i, b := range in {
		if b == run {
			n++
			continue
		}
		finished(i)
		if n = 0; b == 0 || b == 0xff {
			run, n = b, 1
		}
	}
	finished(len(in))
	literal(len(in))
	return out
}

// genBitfield draws a bitfield of pieces of few different bytes.
func genBitfield() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) (b []byte) {
		for range rapid.IntRange(0, 20).Draw(t, "pieces") {
			switch v := rapid.SampledFrom([]byte{0x00, 0x00, 0xff, 0xff, 0x80, 0xaa}).Draw(t, "byte"); v {
			case 0xaa:
				b = append(b, rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "bytes")...)
			default:
				n := rapid.SampledFrom([]int{1, 1, 2, 3, 31, 32, 63, 64, 127, 128, 4095, 4096, 8191, 8192, 20000}).Draw(t, "n")
				b = append(b, bytes.Repeat([]byte{v}, n)...)
			}
		}
		return b
	})
}

func TestRLEModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genBitfield().Draw(t, "bitfield")
		want := portRLE(in)
		if got := bitmap.AppendRLE(nil, in); !bytes.Equal(got, want) {
			t.Fatalf("AppendRLE %x, want %x", got, want)
		}
		decoded, err := bitmap.DecodeRLE([]byte("head"), want, len(in))
		if err != nil {
			t.Fatal(err)
		}
		if trimmed := bytes.TrimRight(in, "\x00"); string(decoded[:4]) != "head" || !bytes.Equal(decoded[4:], trimmed) {
			t.Fatalf("decoded %d bytes, want %d", len(decoded)-4, len(trimmed))
		}

		// The same bits, at an offset, as runs and as a set.
		start := 8 * rapid.Uint64Range(0, 20000).Draw(t, "start")
		s := new(bitmap.Set)
		s.Add(0, 1<<30) // replaced in the range, of no consequence outside
		length := uint64(8 * len(in))
		last, any, err := s.ReplaceRLE(start, want, bitmap.RLELimits{Length: length})
		if err != nil {
			t.Fatal(err)
		}
		bits := setOfBits(start, in)
		if max, ok := bits.Max(); ok != any || max != last {
			t.Fatalf("ReplaceRLE says last %d, %v, want %d, %v", last, any, max, ok)
		}
		diffRuns(t, "ReplaceRLE", s.Runs(start, start+length), slices.Collect(bits.Runs(start, start+length)))
		if s.Len() != 1<<30-length+bits.Len() {
			t.Fatalf("ReplaceRLE changed what is outside: %d members", s.Len())
		}
		if got := s.AppendRLE(nil, start, start+length); !bytes.Equal(got, want) {
			t.Fatalf("Set.AppendRLE %x, want %x", got, want)
		}
		// Anywhere, cut anywhere.
		from := start + rapid.Uint64Range(0, 70000).Draw(t, "from")
		to := from + rapid.Uint64Range(0, 140000).Draw(t, "to")
		part := make([]byte, (to-from+7)/8)
		for r := range s.Runs(from, to) {
			for i := r.Start - from; i < r.End-from; i++ {
				part[i/8] |= 0x80 >> (i % 8)
			}
		}
		want = portRLE(part)
		if got := s.AppendRLE(nil, from, to); !bytes.Equal(got, want) {
			t.Fatalf("Set.AppendRLE(%d, %d) %x, want %x", from, to, got, want)
		}
		cut := cutBits{s, rapid.Uint64Range(1, 5000).Draw(t, "cut")}
		if got := bitmap.AppendRLERuns(nil, cut.Runs(from-min(from, 100), to+100), from, to); !bytes.Equal(got, want) {
			t.Fatalf("AppendRLERuns(%d, %d) %x, want %x", from, to, got, want)
		}
	})
}

// TestRLEFar encodes and decodes runs that could not be written out.
func TestRLEFar(t *testing.T) {
	s := bitmap.NewSet(bitmap.Run{Start: 3, End: 1 << 50}, bitmap.Run{Start: 1<<51 + 1, End: 1<<51 + 2})
	b := s.AppendRLE(nil, 0, 1<<52)
	if got := bitmap.AppendRLERuns(nil, s.Runs(0, 1<<52), 0, 1<<52); !bytes.Equal(got, b) || len(b) > 40 {
		t.Fatalf("encodings %x, %x", got, b)
	}
	o := new(bitmap.Set)
	last, any, err := o.ReplaceRLE(0, b, bitmap.RLELimits{})
	if err != nil || !any || last != 1<<51+1 || !o.Equal(s) {
		t.Fatalf("decoded %v, last %d, %v, want %v", o, last, err, s)
	}
	if size, err := bitmap.RLELen(b); err != nil || size != 1<<48+1 {
		t.Fatalf("RLELen %d, %v", size, err)
	}
}

func TestReplaceRLELimits(t *testing.T) {
	run := func(bytes uint64) []byte { return binary.AppendUvarint(nil, bytes<<2|3) }
	pages := func(n int) (b []byte) {
		for range n {
			b = append(b, 2, 0x80)                         // a block,
			b = binary.AppendUvarint(b, (8192-1)<<2|1)     // zeros to the next page
			b = append(b, binary.AppendUvarint(nil, 1)...) // and a run of nothing
		}
		return b
	}
	for _, c := range []struct {
		name   string
		start  uint64
		src    []byte
		limits bitmap.RLELimits
		want   error
	}{
		{"start within a byte", 4, nil, bitmap.RLELimits{}, bitmap.ErrInvalidRLE},
		{"literal too long", 0, []byte{6, 0xaa}, bitmap.RLELimits{}, bitmap.ErrInvalidRLE},
		{"half a varint", 0, []byte{7, 0x80}, bitmap.RLELimits{}, bitmap.ErrInvalidRLE},
		{"varint beyond 64 bits", 0, bytes.Repeat([]byte{0xff}, 11), bitmap.RLELimits{}, bitmap.ErrInvalidRLE},
		{"all of it", 0, run(1 << 50), bitmap.RLELimits{}, nil},
		{"more than there are", 0, run(1<<50 + 1), bitmap.RLELimits{}, bitmap.ErrTooLarge},
		{"more than there are, from the middle", 1 << 52, run(1 << 50), bitmap.RLELimits{}, bitmap.ErrTooLarge},
		{"start beyond all", 1 << 60, run(1), bitmap.RLELimits{}, bitmap.ErrTooLarge},
		{"length beyond 64 bits", 1 << 60, run(1), bitmap.RLELimits{Length: math.MaxUint64, MaxBlocks: math.MaxUint64}, bitmap.ErrTooLarge},
		{"sum beyond 64 bits", 0, bytes.Repeat(run(1<<61), 16), bitmap.RLELimits{MaxBlocks: math.MaxUint64}, bitmap.ErrTooLarge},
		{"at MaxBlocks", 0, run(128), bitmap.RLELimits{MaxBlocks: 1024}, nil},
		{"above MaxBlocks", 0, run(129), bitmap.RLELimits{MaxBlocks: 1024}, bitmap.ErrTooLarge},
		{"length above MaxBlocks", 0, run(1), bitmap.RLELimits{MaxBlocks: 1024, Length: 1025}, bitmap.ErrTooLarge},
		{"at MaxPages", 0, pages(10), bitmap.RLELimits{MaxPages: 10}, nil},
		{"above MaxPages", 0, pages(11), bitmap.RLELimits{MaxPages: 10}, bitmap.ErrTooLarge},
		{"full pages do not count", 0, append(run(8192*1000), pages(10)...), bitmap.RLELimits{MaxPages: 10}, nil},
		{"default MaxPages", 0, pages(1 << 16), bitmap.RLELimits{}, nil},
		{"above default MaxPages", 0, pages(1<<16 + 1), bitmap.RLELimits{}, bitmap.ErrTooLarge},
		{"any number of pages", 0, pages(1<<16 + 1), bitmap.RLELimits{MaxPages: -1}, nil},
	} {
		s := bitmap.NewSet(bitmap.Run{Start: 100, End: 200}, bitmap.Run{Start: 1 << 20, End: 1 << 30})
		before := s.Clone()
		_, _, err := s.ReplaceRLE(c.start, c.src, c.limits)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && !s.Equal(before) {
			t.Errorf("%s: the set changed in spite of %v", c.name, err)
		}
		if limit := 500 + 300*len(c.src); s.SizeInMemory() > limit {
			t.Errorf("%s: %d bytes of input take %d", c.name, len(c.src), s.SizeInMemory())
		}
	}
}

// TestDecodeRLEBomb decodes a few bytes that stand for a lot.
func TestDecodeRLEBomb(t *testing.T) {
	bomb := binary.AppendUvarint(nil, math.MaxUint64)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := bitmap.DecodeRLE(nil, bomb, 1<<20); !errors.Is(err, bitmap.ErrTooLarge) {
			t.Error(err)
		}
	}); n > 5 {
		t.Errorf("%v allocations", n)
	}
}
