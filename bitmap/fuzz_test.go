package bitmap_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
)

// FuzzParsePage accepts exactly what AppendBinary writes.
func FuzzParsePage(f *testing.F) {
	for _, step := range []uint32{1, 2, 7, 16, 17, 1000, bitmap.PageSize} {
		p := bitmap.NewPage()
		for off := uint32(0); off < bitmap.PageSize; off += step {
			p.Add(off, off+step/2+1)
		}
		b, _ := p.AppendBinary(nil)
		f.Add(b)
	}
	f.Add([]byte{0x10, 0x01, 0xfe, 0xff, 0x03})
	f.Add([]byte{0x10, 0x80, 0x00})
	f.Add([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := bitmap.ParsePage(b)
		if err != nil {
			if p != nil || !errors.Is(err, bitmap.ErrCorrupt) {
				t.Fatalf("page %v with error %v", p, err)
			}
			return
		}
		again, err := p.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("page %x is written as %x, %v", b, again, err)
		}
		if q, err := bitmap.PageFromBits(p.AppendBits(nil)); err != nil || !p.Equal(q) {
			t.Fatalf("bits of %v are those of %v, %v", p, q, err)
		}
		if limit := 1024 + 16*len(b); p.SizeInMemory() > limit {
			t.Fatalf("%d bytes take %d", len(b), p.SizeInMemory())
		}
	})
}

func addRLESeeds(f *testing.F) {
	var v rleVectors
	readVectors(f, "bitfield-rle.json", &v)
	for _, c := range v.Cases {
		f.Add([]byte(c.Encoded))
	}
	for _, c := range v.DecodeOnly {
		f.Add([]byte(c.Encoded))
	}
	for _, c := range v.Invalid {
		f.Add([]byte(c.Encoded))
	}
}

// FuzzDecodeRLE decodes, and encodes again as the reference would.
func FuzzDecodeRLE(f *testing.F) {
	addRLESeeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		const limit = 1 << 16
		out, err := bitmap.DecodeRLE(nil, src, limit)
		size, lenErr := bitmap.RLELen(src)
		if err != nil {
			if len(out) > 0 || !errors.Is(err, bitmap.ErrInvalidRLE) && !errors.Is(err, bitmap.ErrTooLarge) {
				t.Fatalf("%d bytes with error %v", len(out), err)
			}
			if lenErr == nil && size <= limit {
				t.Fatalf("length %d, but %v", size, err)
			}
			return
		}
		if lenErr != nil || size != int64(len(out)) {
			t.Fatalf("RLELen %d, %v of %d bytes", size, lenErr, len(out))
		}
		enc := bitmap.AppendRLE(nil, out)
		if want := portRLE(out); !bytes.Equal(enc, want) {
			t.Fatalf("encoded %x, want %x", enc, want)
		}
		again, err := bitmap.DecodeRLE(nil, enc, limit)
		if want := bytes.TrimRight(out, "\x00"); err != nil || !bytes.Equal(again, want) {
			t.Fatalf("decoded again %x, %v, want %x", again, err, want)
		}
	})
}

// FuzzReplaceRLE compares with DecodeRLE where that is possible.
func FuzzReplaceRLE(f *testing.F) {
	f.Add(uint64(0), uint64(1<<20), []byte{0x83, 0x80, 0x20})
	f.Add(uint64(8), uint64(1<<63), []byte{0x83, 0x80, 0x20})
	f.Add(uint64(1<<53), uint64(0), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	var v rleVectors
	readVectors(f, "bitfield-rle.json", &v)
	for i, c := range v.Cases {
		f.Add(uint64(8192*i), uint64(8*c.InputLength), []byte(c.Encoded))
	}
	f.Fuzz(func(t *testing.T, start, length uint64, src []byte) {
		s := bitmap.NewSet(bitmap.Run{Start: 5, End: 100_000}, bitmap.Run{Start: 1 << 52, End: 1 << 62})
		before := s.Clone()
		last, any, err := s.ReplaceRLE(start, src, bitmap.RLELimits{Length: length, MaxPages: 100})
		if err != nil {
			if last != 0 || any || !s.Equal(before) {
				t.Fatalf("last %d, %v, set %v with error %v", last, any, s, err)
			}
			if !errors.Is(err, bitmap.ErrInvalidRLE) && !errors.Is(err, bitmap.ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		size, err := bitmap.RLELen(src)
		if err != nil {
			t.Fatal(err)
		}
		end := start + max(length, 8*uint64(size))
		if any != (s.Count(start, end) > 0) || any && !s.Has(last) {
			t.Fatalf("last %d, %v of %v", last, any, s)
		}
		before.Remove(start, end)
		outside := s.Clone()
		outside.Remove(start, end)
		if !outside.Equal(before) {
			t.Fatalf("outside of %d..%d: %v, want %v", start, end, outside, before)
		}
		if limit := 2000 + 300*len(src); s.SizeInMemory() > limit {
			t.Fatalf("%d bytes take %d", len(src), s.SizeInMemory())
		}
		out, err := bitmap.DecodeRLE(nil, src, 1<<14)
		if err != nil {
			return
		}
		if got, want := s.AppendRLE(nil, start, end), portRLE(out); !bytes.Equal(got, want) {
			t.Fatalf("encoded again %x, want %x", got, want)
		}
	})
}

// FuzzParseFile reads pages and writes them again.
func FuzzParseFile(f *testing.F) {
	var v struct{ Files []struct{ Bitfield hexBytes } }
	readVectors(f, "feeds.json", &v)
	for _, c := range v.Files {
		f.Add([]byte(c.Bitfield[32:]), 512)
	}
	f.Add(bytes.Repeat([]byte{0xff}, 3328*3), 256)
	f.Fuzz(func(t *testing.T, pages []byte, indexSize int) {
		file, err := bitmap.ParseFile(pages, indexSize)
		if err != nil {
			if !errors.Is(err, bitmap.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		n := file.PageLen()
		if want := (len(pages) + n - 1) / n; file.Pages() != uint64(want) {
			t.Fatalf("%d pages of %d bytes, want %d", file.Pages(), len(pages), want)
		}
		var out []byte
		for p := range file.Pages() {
			out = file.AppendPage(out, p)
			page, in := out[len(out)-n:], make([]byte, n)
			copy(in, pages[int(p)*n:])
			if !bytes.Equal(page[:3072], in[:3072]) {
				t.Fatalf("page %d differs at byte %d", p, firstDiff(page, in))
			}
		}
		again, err := bitmap.ParseFile(out, indexSize)
		if err != nil || len(again.Dirty()) > 0 {
			t.Fatalf("dirty pages %v of a file just written, %v", again.Dirty(), err)
		}
		file.Truncate(file.Blocks().NextMissing(0))
		file.SetBlocks(0, 8192*file.Pages())
		if file.Pages() > 0 && file.NextMissingBlock(0) != 8192*file.Pages() {
			t.Fatalf("block %d is missing", file.NextMissingBlock(0))
		}
	})
}
