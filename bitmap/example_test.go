package bitmap_test

import (
	"errors"
	"fmt"

	"github.com/cairn-feeds/cairn/bitmap"
)

// A peer tells what it has; we ask for what we do not have.
func Example() {
	ours := bitmap.NewSet(bitmap.Run{Start: 0, End: 1000}, bitmap.Run{Start: 5000, End: 5010})

	var theirs bitmap.Set
	have := ours.AppendRLE(nil, 0, 1<<20) // as if from a peer with the same blocks
	if _, _, err := theirs.ReplaceRLE(0, have, bitmap.RLELimits{Length: 1 << 20}); err != nil {
		fmt.Println(err)
		return
	}
	theirs.Add(900, 1100) // Have{start: 900, length: 200}

	block, ok := theirs.NextDifference(0, ours)
	fmt.Println("ask for", block, ok)

	theirs.AndNot(ours)
	for run := range theirs.Runs(0, 1<<20) {
		fmt.Println("they have and we have not:", run)
	}
	// Output:
	// ask for 1000 true
	// they have and we have not: 1000..1100
}

// A store keeps pages as rows and shares them among readers: a change is made to
// a copy.
func ExamplePage() {
	row := []byte{0x10, 0x01, 0x09}
	page, err := bitmap.ParsePage(row)
	if err != nil {
		fmt.Println(err)
		return
	}
	changed := page.Clone()
	changed.Add(11, 12)
	changed.Add(20, 30)
	row, _ = changed.AppendBinary(nil)
	fmt.Printf("%v -> %v, % x\n", page, changed, row)

	_, err = bitmap.ParsePage(row[:len(row)-1])
	fmt.Println(err, errors.Is(err, bitmap.ErrCorrupt))
	// Output:
	// 0..11 -> 0..12 20..30, 10 01 0a 0f 08
	// bitmap: corrupt: page ends within a number true
}

// The bitfield file of a feed of 11 blocks, of which one is cleared.
func ExampleFile() {
	f := bitmap.NewFile(bitmap.FileIndexSize)
	f.SetBlocks(0, 11)
	f.SetLeaves(0, 11)
	f.MarkClean() // once the pages of f.Dirty() are written

	f.ClearBlocks(3, 4)
	for _, p := range f.Dirty() {
		page := f.AppendPage(nil, p)
		fmt.Printf("write %d bytes at %d: data % x, tree % x, index % x\n",
			len(page), 32+int(p)*len(page), page[:2], page[1024:1027], page[3072:3074])
	}
	// Output:
	// write 3584 bytes at 32: data ef e0, tree ff fe e8, index 50 40
}
