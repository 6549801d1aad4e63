package bitmap_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap"
)

// readVectors reads a file of testdata.
func readVectors(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// hexBytes are bytes in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type rleVectors struct {
	Cases []struct {
		Name          string
		Input         hexBytes
		InputRepeat   []any
		InputLength   int
		Encoded       hexBytes
		DecodedLength int
	}
	DecodeOnly []struct {
		Name             string
		Encoded, Decoded hexBytes
	}
	Invalid []struct {
		Name    string
		Encoded hexBytes
	}
}

// repeatBytes concatenates [byteHex, count] pairs.
func repeatBytes(t testing.TB, chunks []any) (b []byte) {
	for _, c := range chunks {
		pair := c.([]any)
		v, err := strconv.ParseUint(pair[0].(string), 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, bytes.Repeat([]byte{byte(v)}, int(pair[1].(float64)))...)
	}
	return b
}

func TestRLEVectors(t *testing.T) {
	var v rleVectors
	readVectors(t, "bitfield-rle.json", &v)
	if len(v.Cases) != 72 || len(v.DecodeOnly) != 5 || len(v.Invalid) != 2 {
		t.Fatalf("%d cases, %d decodeOnly, %d invalid", len(v.Cases), len(v.DecodeOnly), len(v.Invalid))
	}
	for _, c := range v.Cases {
		in := append([]byte(c.Input), repeatBytes(t, c.InputRepeat)...)
		if len(in) != c.InputLength {
			t.Fatalf("%s: input of %d bytes, want %d", c.Name, len(in), c.InputLength)
		}
		if got := bitmap.AppendRLE([]byte("head"), in); string(got[:4]) != "head" || !bytes.Equal(got[4:], c.Encoded) {
			t.Errorf("%s: AppendRLE %x, want %x", c.Name, got[4:], []byte(c.Encoded))
		}
		s := setOfBits(0, in)
		if got := bitmap.AppendRLERuns(nil, s.Runs(0, s.Len()+1<<30), 0, uint64(8*len(in))); !bytes.Equal(got, c.Encoded) {
			t.Errorf("%s: AppendRLERuns %x, want %x", c.Name, got, []byte(c.Encoded))
		}
		if got := s.AppendRLE(nil, 0, uint64(8*len(in))); !bytes.Equal(got, c.Encoded) {
			t.Errorf("%s: Set.AppendRLE %x, want %x", c.Name, got, []byte(c.Encoded))
		}
		got, err := bitmap.DecodeRLE(nil, c.Encoded, c.DecodedLength)
		if err != nil {
			t.Errorf("%s: DecodeRLE: %v", c.Name, err)
		}
		if want := in[:c.DecodedLength]; !bytes.Equal(got, want) {
			t.Errorf("%s: decoded %x, want %x", c.Name, got, want)
		}
		if c.DecodedLength > 0 {
			if _, err := bitmap.DecodeRLE(nil, c.Encoded, c.DecodedLength-1); !errors.Is(err, bitmap.ErrTooLarge) {
				t.Errorf("%s: a byte too large: %v", c.Name, err)
			}
		}
	}
	for _, c := range v.DecodeOnly {
		if got, err := bitmap.DecodeRLE(nil, c.Encoded, 4); err != nil || !bytes.Equal(got, c.Decoded) {
			t.Errorf("%s: decoded %x, %v, want %x", c.Name, got, err, []byte(c.Decoded))
		}
	}
	for _, c := range v.Invalid {
		if got, err := bitmap.DecodeRLE([]byte("head"), c.Encoded, 100); !errors.Is(err, bitmap.ErrInvalidRLE) || string(got) != "head" {
			t.Errorf("%s: decoded %q, %v", c.Name, got, err)
		}
	}
}

// setOfBits returns the set of the bits of b, the most significant first.
func setOfBits(start uint64, b []byte) *bitmap.Set {
	s := new(bitmap.Set)
	for i, v := range b {
		for bit := range 8 {
			if v&(0x80>>bit) != 0 {
				s.Add(start+uint64(8*i+bit), start+uint64(8*i+bit)+1)
			}
		}
	}
	return s
}

type pageVectors struct {
	Scenarios []struct {
		Name  string
		Ops   [][]any
		Pages []struct {
			Page int
			Runs [][]any
		}
		Total []struct {
			Start, End, Total uint64
		}
		Iterate []struct {
			From, End uint64
			Next      int64
		}
		Compress []struct {
			Start, Length uint64
			Bitfield      hexBytes
		}
	}
}

func TestFileVectors(t *testing.T) {
	for _, size := range []int{bitmap.FileIndexSize, bitmap.OldFileIndexSize} {
		t.Run(fmt.Sprintf("index=%d", size), func(t *testing.T) { testFileVectors(t, size) })
	}
}

func testFileVectors(t *testing.T, indexSize int) {
	var v pageVectors
	readVectors(t, map[int]string{512: "bitfield-pages.json", 256: "bitfield-pages-256.json"}[indexSize], &v)
	if len(v.Scenarios) < 11 {
		t.Fatalf("%d scenarios", len(v.Scenarios))
	}
	for _, sc := range v.Scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			one := bitmap.NewFile(indexSize)  // block after block
			bulk := bitmap.NewFile(indexSize) // range after range
			length := uint64(0)
			for _, op := range sc.Ops {
				n := uint64(op[1].(float64))
				switch op[0].(string) {
				case "append":
					bulk.SetBlocks(length, length+n)
					bulk.SetLeaves(length, length+n)
					for end := length + n; length < end; length++ {
						one.SetBlocks(length, length+1)
						one.SetNode(2 * length)
					}
				case "set":
					one.SetBlocks(n, n+1)
					bulk.SetBlocks(n, n+1)
				case "clear":
					one.ClearBlocks(n, n+1)
					bulk.ClearBlocks(n, n+1)
				default:
					t.Fatalf("unknown op %v", op)
				}
			}
			var want []byte
			pageLen := one.PageLen()
			for i, p := range sc.Pages {
				if p.Page != i {
					t.Fatalf("page %d at position %d", p.Page, i)
				}
				page := make([]byte, pageLen)
				for _, r := range p.Runs {
					b, err := hex.DecodeString(r[1].(string))
					if err != nil {
						t.Fatal(err)
					}
					if len(r) == 3 {
						b = bytes.Repeat(b, int(r[2].(float64)))
					}
					copy(page[int(r[0].(float64)):], b)
				}
				want = append(want, page...)
			}
			parsed, err := bitmap.ParseFile(want, indexSize)
			if err != nil {
				t.Fatal(err)
			}
			if dirty := parsed.Dirty(); len(dirty) > 0 && indexSize == bitmap.FileIndexSize {
				t.Errorf("pages %v have another index than they should have", dirty)
			}
			for name, f := range map[string]*bitmap.File{"one": one, "bulk": bulk, "parsed": parsed} {
				got := appendPages(nil, f)
				if indexSize == bitmap.OldFileIndexSize {
					overstate(got, want, pageLen)
				}
				if !bytes.Equal(got, want) {
					i := firstDiff(got, want)
					t.Errorf("%s: %d pages, want %d; first difference in page %d at byte %d", name, f.Pages(), len(sc.Pages), i/pageLen, i%pageLen)
				}
				for _, c := range sc.Total {
					if got := f.CountBlocks(c.Start, c.End); got != c.Total {
						t.Errorf("%s: %d blocks in %d..%d, want %d", name, got, c.Start, c.End, c.Total)
					}
				}
				for _, c := range sc.Iterate {
					got := int64(f.NextMissingBlock(c.From))
					if got >= int64(c.End) {
						got = -1
					}
					if got != c.Next {
						t.Errorf("%s: missing from %d before %d: %d, want %d", name, c.From, c.End, got, c.Next)
					}
				}
				for _, c := range sc.Compress {
					if got := f.Blocks().AppendRLE(nil, c.Start, c.Start+c.Length); !bytes.Equal(got, c.Bitfield) {
						t.Errorf("%s: bitfield from %d, %d blocks: %x, want %x", name, c.Start, c.Length, got, []byte(c.Bitfield))
					}
				}
			}
		})
	}
}

// overstate makes index entries of got that say more than those of want equal to
// them. In older feeds the index of a page is about other pages, and the reference
// does not go back to blocks that were set before a page with their index existed:
// it says empty or mixed of what is full, which is harmless; this package says how
// it is, which TestFileModel checks.
func overstate(got, want []byte, pageLen int) {
	for i := range min(len(got), len(want)) {
		if i%pageLen < 3072 {
			continue
		}
		for shift := 0; shift < 8; shift += 2 {
			if mask := byte(3 << shift); got[i]&mask > want[i]&mask {
				got[i] = got[i]&^mask | want[i]&mask
			}
		}
	}
}

func appendPages(dst []byte, f *bitmap.File) []byte {
	for p := range f.Pages() {
		dst = f.AppendPage(dst, p)
	}
	return dst
}

func firstDiff(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// TestFeedFiles reads the bitfield files of real feeds and writes them again from
// what is known of the feeds.
func TestFeedFiles(t *testing.T) {
	var v struct {
		Files []struct {
			Name           string
			Length         uint64
			Has, TreeNodes []uint64
			Bitfield       hexBytes
		}
	}
	readVectors(t, "feeds.json", &v)
	if len(v.Files) != 6 {
		t.Fatalf("%d files", len(v.Files))
	}
	for _, c := range v.Files {
		t.Run(c.Name, func(t *testing.T) {
			pages := []byte(c.Bitfield[32:])
			f, err := bitmap.ParseFile(pages, 512)
			if err != nil {
				t.Fatal(err)
			}
			if got := members(f.Blocks()); !slices.Equal(got, c.Has) {
				t.Errorf("blocks %v, want %v", got, c.Has)
			}
			if got := members(f.Nodes()); !slices.Equal(got, c.TreeNodes) {
				t.Errorf("nodes %v, want %v", got, c.TreeNodes)
			}
			if len(f.Dirty()) > 0 {
				t.Errorf("dirty after reading: %v", f.Dirty())
			}
			made := bitmap.NewFile(0)
			for _, b := range c.Has {
				made.SetBlocks(b, b+1)
			}
			made.SetNodes(c.TreeNodes...)
			if got := appendPages(nil, made); !bytes.Equal(got, pages) {
				t.Errorf("page made anew differs at byte %d", firstDiff(got, pages))
			}
			// A file that ends early is read as if zeros followed.
			short, err := bitmap.ParseFile(pages[:3], 512)
			if err != nil {
				t.Fatal(err)
			}
			if !short.Blocks().Equal(f.Blocks()) || short.Nodes().Len() != 0 || short.Pages() != 1 {
				t.Errorf("cut file: blocks %v, nodes %v, %d pages", short.Blocks(), short.Nodes(), short.Pages())
			}
		})
	}
}

func members(s *bitmap.Set) []uint64 {
	m := []uint64{}
	for r := range s.Runs(0, 1<<62) {
		for i := r.Start; i < r.End; i++ {
			m = append(m, i)
		}
	}
	return m
}
