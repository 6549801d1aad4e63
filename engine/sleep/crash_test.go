package sleep_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess/randomaccesstest"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// crashRounds is how many histories are crashed in each way. A round takes a few
// seconds.
var crashRounds = flag.Int("crash-rounds", 2, "random histories for each crash test")

// state is what a feed holds.
type state struct {
	length  uint64
	present []bool
}

func (s state) clone() state { return state{s.length, slices.Clone(s.present)} }

// crasher runs changes on a disk and, after each operation on it, has a look at
// what a crash would leave.
type crasher struct {
	t      *testing.T
	rng    *rand.Rand
	disk   *randomaccesstest.Disk
	losses []randomaccesstest.Loss
	opts   sleep.Options
	// source has the whole feed, for a replica to download from; nil for a writer.
	source *writer
	every  int // looks at one operation in so many

	content [][]byte // of all blocks that were ever appended
	before  state    // acknowledged
	after   state    // if the change under way is complete
	points  int
}

// look checks what a crash now would leave.
func (c *crasher) look(op randomaccesstest.Op) {
	if op.N%c.every != 0 || c.t.Failed() {
		return
	}
	for _, loss := range c.losses {
		c.points++
		found := c.disk.Crash(loss, c.rng)
		if err := c.check(found); err != nil {
			c.t.Errorf("after %v, losing %v, with %d blocks acknowledged and %d under way: %v", op, loss, c.before.length, c.after.length, err)
			return
		}
	}
}

func (c *crasher) check(disk *randomaccesstest.Disk) (err error) {
	opts := c.opts
	opts.SecretKey, opts.DiscardSecretKey = tree.SecretKey{}, false // what is stored has to do
	f, err := sleep.Open(c.t.Context(), disk.Open, opts)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.checkState(f); err != nil {
		return err
	}
	var problem sleep.Problem
	report, err := f.Verify(c.t.Context(), sleep.VerifyOptions{
		SkipData:  f.Length() > 1000, // checkState has looked at some
		OnProblem: func(p sleep.Problem) { problem = p },
	})
	if err != nil || !report.OK() {
		return fmt.Errorf("verify: %+v, %v, %w", report, problem, err)
	}
	// The feed goes on from there, and opens as it was closed.
	length := f.Length()
	if c.source == nil {
		w := newWriter(c.t, f)
		w.append([]byte("after"), []byte("the crash"))
		length += 2
	} else {
		download(c.t, c.source.Files, f, c.source.Length()-1, false)
		length = c.source.Length()
	}
	if err := f.Close(); err != nil {
		return err
	}
	again, err := sleep.Open(c.t.Context(), disk.Open, opts)
	if err != nil {
		return fmt.Errorf("second opening: %w", err)
	}
	defer again.Close()
	if again.Length() != length || !again.Recovery().Clean() {
		return fmt.Errorf("second opening recovered %+v", again.Recovery())
	}
	if !again.HasBlock(length - 1) {
		return fmt.Errorf("second opening lacks block %d", length-1)
	}
	report, err = again.Verify(c.t.Context(), sleep.VerifyOptions{SkipData: true})
	if err != nil || !report.OK() {
		return fmt.Errorf("verify after going on: %+v, %w", report, err)
	}
	return nil
}

// checkState compares f with the states before and after the change under way. A
// writer's feed is at one of them. A replica may be in between, and so may the
// blocks that are being cleared.
func (c *crasher) checkState(f *sleep.Files) error {
	length := f.Length()
	if length < c.before.length || length > c.after.length {
		return fmt.Errorf("length %d", length)
	}
	if c.source == nil && c.before.length < c.after.length {
		if !c.same(f, c.before) && !c.same(f, c.after) {
			return fmt.Errorf("neither of both states at length %d", length)
		}
	}
	for n := range max(uint64(len(c.before.present)), length) {
		has, had, will := f.HasBlock(n), at(c.before.present, n), at(c.after.present, n)
		if has != had && has != will {
			return fmt.Errorf("block %d is present: %t, before %t, after %t", n, has, had, will)
		}
	}
	// Of a large feed some have to do.
	for n := uint64(0); n < length; n += 1 + length/200 {
		if !f.HasBlock(n) {
			continue
		}
		if got, err := f.ReadBlock(nil, n); err != nil || !bytes.Equal(got, c.content[n]) {
			return fmt.Errorf("block %d is %.20x, want %.20x, %w", n, got, c.content[n], err)
		}
	}
	return nil
}

func at(b []bool, i uint64) bool { return i < uint64(len(b)) && b[i] }

func (c *crasher) same(f *sleep.Files, s state) bool {
	return f.Length() == s.length && slices.Equal(presentOf(f), s.present)
}

func presentOf(f *sleep.Files) []bool {
	present := make([]bool, f.Length())
	for run := range f.Blocks(0, f.Length()) {
		for n := run.Start; n < run.End; n++ {
			present[n] = true
		}
	}
	return present
}

// run makes a change that leads to the state after.
func (c *crasher) run(after state, change func() error) {
	c.t.Helper()
	c.after = after
	if err := change(); err != nil {
		c.t.Fatal(err)
	}
	c.before = after
}

func (c *crasher) blocks(n int, size int) (blocks [][]byte) {
	for range n {
		b := make([]byte, c.rng.IntN(size+1))
		for i := range b {
			b[i] = byte(c.rng.Uint32())
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// append appends a batch and keeps what it appended.
func (c *crasher) append(w *writer, blocks ...[]byte) {
	c.t.Helper()
	after := c.before.clone()
	for range blocks {
		after.length++
		after.present = append(after.present, true)
	}
	c.content = append(c.content[:c.before.length:c.before.length], blocks...)
	c.run(after, func() error { return w.Commit(w.change(blocks...)) })
}

func (c *crasher) clear(f *sleep.Files, start, end uint64) {
	c.t.Helper()
	after := c.before.clone()
	for n := start; n < min(end, after.length); n++ {
		after.present[n] = false
	}
	c.run(after, func() error {
		_, err := f.Clear(start, end)
		return err
	})
}

var crashModes = map[string]struct {
	sync   bool
	losses []randomaccesstest.Loss
}{
	"sync":    {true, randomaccesstest.Losses()},
	"no sync": {false, []randomaccesstest.Loss{randomaccesstest.LoseNothing, randomaccesstest.TearLast}},
}

// TestCrashWriter crashes a small feed at every operation.
func TestCrashWriter(t *testing.T) {
	small := loadSmall(t)
	for name, mode := range crashModes {
		t.Run(name, func(t *testing.T) {
			points := 0
			for round := range *crashRounds {
				c := &crasher{
					t: t, rng: rand.New(rand.NewPCG(uint64(round), 7)), disk: randomaccesstest.NewDisk(), every: 1,
					losses: mode.losses, opts: sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t), Sync: mode.sync},
				}
				// Until it was opened once, the feed need not be there.
				w := openWriter(t, c.disk.Open, c.opts)
				c.disk.OnOp(c.look)
				for range 14 {
					switch n := c.rng.IntN(10); {
					case n < 6 || w.Length() == 0:
						c.append(w, c.blocks(1+c.rng.IntN(5), 700)...)
					case n < 8:
						start := c.rng.Uint64N(w.Length())
						c.clear(w.Files, start, start+1+c.rng.Uint64N(4))
					case n < 9:
						if err := w.Close(); err != nil {
							t.Fatal(err)
						}
						w = openWriter(t, c.disk.Open, c.opts)
					default:
						c.append(w, []byte{})
					}
				}
				points += c.points
			}
			t.Logf("%d crash points", points)
		})
	}
}

// TestCrashPages crashes batches that reach over pages of the bitfield.
func TestCrashPages(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	small := loadSmall(t)
	for name, mode := range crashModes {
		t.Run(name, func(t *testing.T) {
			c := &crasher{
				t: t, rng: rand.New(rand.NewPCG(8, 9)), disk: randomaccesstest.NewDisk(), every: 1,
				losses: mode.losses, opts: sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t), Sync: mode.sync},
			}
			w := openWriter(t, c.disk.Open, c.opts)
			c.append(w, c.blocks(8191, 1)...)
			c.disk.OnOp(c.look)
			for _, n := range []int{1, 3, 8200} {
				c.append(w, c.blocks(n, 1)...)
			}
			c.clear(w.Files, 8000, 16390)
			c.append(w, c.blocks(2, 1)...)
			t.Logf("%d crash points", c.points)
		})
	}
}

// TestCrashReplica crashes a replica that downloads in any order while the source
// grows.
func TestCrashReplica(t *testing.T) {
	small := loadSmall(t)
	for name, mode := range crashModes {
		t.Run(name, func(t *testing.T) {
			points := 0
			for round := range *crashRounds {
				c := &crasher{
					t: t, rng: rand.New(rand.NewPCG(uint64(round), 11)), disk: randomaccesstest.NewDisk(), every: 1,
					losses: mode.losses, opts: sleep.Options{Key: small.PublicKey, Sync: mode.sync},
				}
				c.source = openWriter(t, randomaccesstest.NewDisk().Open, sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t)})
				f := open(t, c.disk.Open, c.opts)
				c.disk.OnOp(c.look)
				for range 25 {
					length := c.source.Length()
					switch n := c.rng.IntN(10); {
					case n < 3 || length == 0:
						blocks := c.blocks(1+c.rng.IntN(9), 700)
						c.content = append(c.content, blocks...)
						c.source.append(blocks...)
					case n < 4 && f.Length() > 0:
						start := c.rng.Uint64N(f.Length())
						c.clear(f, start, start+1+c.rng.Uint64N(4))
					default:
						block, hashOnly := c.rng.Uint64N(length), n == 9
						_, change, err := downloadChange(c.source.Files, f, block, hashOnly)
						if err != nil {
							t.Fatal(err)
						}
						after := c.before.clone()
						after.length = max(after.length, change.Length)
						after.present = append(after.present, make([]bool, after.length-uint64(len(after.present)))...)
						if !hashOnly {
							after.present[block] = true
						}
						c.run(after, func() error { return f.Commit(change) })
					}
				}
				points += c.points
			}
			t.Logf("%d crash points", points)
		})
	}
}
