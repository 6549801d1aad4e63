package tree_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cairn-feeds/cairn/tree"
)

// TestRoots prints full roots and spans.
func TestRoots(t *testing.T) {
	datadriven.RunTest(t, "testdata/roots", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		switch d.Cmd {
		case "roots":
			var length uint64
			d.ScanArgs(t, "length", &length)
			roots := tree.AppendFullRoots(nil, length)
			if len(roots) == 0 {
				return "none\n"
			}
			for _, i := range roots {
				fmt.Fprintf(&out, "%d: blocks [%d, %d)\n", i, i.LeftSpan().Block(), i.RightSpan().Block()+1)
			}
		case "climb":
			var block uint64
			var levels int
			d.ScanArgs(t, "block", &block)
			d.ScanArgs(t, "levels", &levels)
			for i := tree.LeafIndex(block); levels > 0; levels-- {
				fmt.Fprintf(&out, "%d: depth %d offset %d sibling %d\n", i, i.Depth(), i.Offset(), i.Sibling())
				i = i.Parent()
			}
		default:
			d.Fatalf(t, "unknown command")
		}
		return out.String()
	})
}

// TestStories lets writers and sparse replicas talk to each other, as the files in
// testdata/story tell. Every name is that of a writer or of a replica. Commands:
//
//	append NAME blocks=N [fill=CHARACTER]    create the writer if needed, append N blocks in one batch
//	fork NAME from=WRITER length=N           another writer with the same key and the first N blocks
//	damage NAME node=I                       flip a bit of a stored hash
//	ask NAME from=NAME block=N [hash] [digest=D] [MUTATION...]
//	                                         request, verify and store; prints the answer and what follows
//	digest NAME                              the digest of every block up to the length
//	known NAME                               the nodes that are known, and the length they tell
//	seek NAME bytes=(N,...)
//
// A mutation changes the answer on its way: data, drop=I, swap=I, twice=I, flip=I,
// shift=I, size=I, huge=I, index=I, keep=(INDEX,...), signature, unsigned (I counts from 0).
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/story", func(t *testing.T, path string) {
		s := &story{t: t, writers: map[string]*testFeed{}, replicas: map[string]*replica{}}
		datadriven.RunTest(t, path, s.run)
	})
}

type story struct {
	t        *testing.T
	writers  map[string]*testFeed
	replicas map[string]*replica
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	if len(d.CmdArgs) == 0 {
		d.Fatalf(t, "whose?")
	}
	name := d.CmdArgs[0].Key
	switch d.Cmd {
	case "append":
		return s.append(name, d)
	case "fork":
		return s.fork(name, d)
	case "damage":
		var i tree.Index
		d.ScanArgs(t, "node", (*uint64)(&i))
		n := s.replica(name).nodes[i]
		n.Hash[0] ^= 1
		s.replica(name).nodes.Add(n)
		return ""
	case "ask":
		return s.ask(name, d)
	case "digest":
		r := s.replica(name)
		var out strings.Builder
		for block := range r.length {
			fmt.Fprintf(&out, "%d: %b\n", block, r.digest(t, block))
		}
		return out.String()
	case "known":
		r := s.replica(name)
		length, err := tree.KnownLength(r.nodes, r.limit())
		if err != nil {
			return fmt.Sprintln(err)
		}
		return fmt.Sprintf("nodes %v\nlength %d\n", r.known(), length)
	case "seek":
		return s.seek(name, d)
	}
	d.Fatalf(t, "unknown command")
	return ""
}

func (s *story) append(name string, d *datadriven.TestData) string {
	f := s.writers[name]
	if f == nil {
		f = newTestFeed([32]byte{7})
		s.writers[name] = f
	}
	n, fill := 1, "."
	d.ScanArgs(s.t, "blocks", &n)
	d.MaybeScanArgs(s.t, "fill", &fill)
	var blocks [][]byte
	for i := range n {
		blocks = append(blocks, []byte(strings.Repeat(fill, len(f.blocks)+i)))
	}
	f.append(s.t, blocks...)
	return fmt.Sprintf("length %d, %d bytes, roots %v\n", f.builder.Length(), f.builder.ByteLength(), indexes(f.builder.Roots()))
}

func (s *story) fork(name string, d *datadriven.TestData) string {
	var from string
	var length int
	d.ScanArgs(s.t, "from", &from)
	d.ScanArgs(s.t, "length", &length)
	f := newTestFeed([32]byte{7})
	f.append(s.t, s.writers[from].blocks[:length]...)
	s.writers[name] = f
	return fmt.Sprintf("length %d\n", f.builder.Length())
}

func (s *story) replica(name string) *replica {
	r := s.replicas[name]
	if r == nil {
		r = newReplica(tree.KeyPairFromSeed([32]byte{7}).Public)
		s.replicas[name] = r
	}
	return r
}

func (s *story) ask(name string, d *datadriven.TestData) string {
	var from string
	var block uint64
	d.ScanArgs(s.t, "from", &from)
	d.ScanArgs(s.t, "block", &block)
	hash := d.HasArg("hash")
	r := s.replica(name)
	digest := r.digest(s.t, block)
	d.MaybeScanArgs(s.t, "digest", &digest)
	var asked source = s.replica(from)
	if f, ok := s.writers[from]; ok {
		asked = f
	}
	var out strings.Builder
	fmt.Fprintf(&out, "digest %b\n", digest)
	p, err := asked.proof(block, digest, hash)
	if err != nil {
		fmt.Fprintln(&out, err)
		return out.String()
	}
	var data []byte
	if !hash {
		data = append([]byte{}, asked.data(block)...)
	}
	s.mutate(d, &p, &data)
	fmt.Fprintf(&out, "nodes %v", indexes(p.Nodes))
	if p.HasSignature {
		fmt.Fprintf(&out, ", signed")
	}
	fmt.Fprintln(&out)
	var v tree.Verified
	if hash {
		v, err = r.verifier().Hash(block, p)
	} else {
		v, err = r.verifier().Block(block, data, p)
	}
	if err != nil {
		fmt.Fprintf(&out, "refused: %v\n", err)
		if fork, ok := errors.AsType[*tree.ForkError](err); ok {
			fmt.Fprintf(&out, "ours %v, theirs %v, by %v\n", indexes(fork.Ours), indexes(fork.Theirs), indexes(fork.Nodes))
		}
		return out.String()
	}
	r.store(block, data, v)
	fmt.Fprintf(&out, "store %v", indexes(v.Nodes))
	if !hash {
		fmt.Fprintf(&out, ", data at %d", v.ByteOffset)
	}
	if v.HasSignature {
		fmt.Fprintf(&out, ", signature of length %d", v.SignatureSlot+1)
	}
	if v.Roots != nil {
		fmt.Fprintf(&out, "\nlength %d, %d bytes, roots %v", v.Length, v.ByteLength, indexes(v.Roots))
	}
	fmt.Fprintln(&out)
	return out.String()
}

func (s *story) mutate(d *datadriven.TestData, p *tree.Proof, data *[]byte) {
	node := func(mutation string) (i int, ok bool) {
		return i, d.MaybeScanArgs(s.t, mutation, &i)
	}
	if d.HasArg("data") {
		*data = append(*data, '!')
	}
	if i, ok := node("drop"); ok {
		p.Nodes = slices.Delete(p.Nodes, i, i+1)
	}
	if i, ok := node("swap"); ok {
		p.Nodes[i], p.Nodes[i+1] = p.Nodes[i+1], p.Nodes[i]
	}
	if i, ok := node("twice"); ok {
		p.Nodes = slices.Insert(p.Nodes, i, p.Nodes[i])
	}
	if i, ok := node("flip"); ok {
		p.Nodes[i].Hash[0] ^= 1
	}
	if i, ok := node("shift"); ok { // two sizes, the sum stays
		p.Nodes[i].Size++
		p.Nodes[i+1].Size--
	}
	if i, ok := node("size"); ok {
		p.Nodes[i].Size++
	}
	if i, ok := node("huge"); ok {
		p.Nodes[i].Size = tree.MaxSize
	}
	if i, ok := node("index"); ok {
		p.Nodes[i].Index += 2
	}
	var keep []uint64
	if d.MaybeScanArgs(s.t, "keep", &keep) {
		p.Nodes = slices.DeleteFunc(p.Nodes, func(n tree.Node) bool { return !slices.Contains(keep, uint64(n.Index)) })
	}
	if d.HasArg("signature") {
		p.Signature[0] ^= 1
	}
	if d.HasArg("unsigned") {
		p.HasSignature = false
	}
}

func (s *story) seek(name string, d *datadriven.TestData) string {
	r := s.replica(name)
	roots, err := tree.Roots(r.nodes, r.length)
	if err != nil {
		return fmt.Sprintln(err)
	}
	var bytes []uint64
	d.ScanArgs(s.t, "bytes", &bytes)
	var out strings.Builder
	for _, b := range bytes {
		found, err := tree.Seek(r.nodes, roots, b)
		switch {
		case err != nil:
			fmt.Fprintln(&out, err)
		case found.Exact:
			fmt.Fprintf(&out, "%d: block %d offset %d\n", b, found.Block, found.Offset)
		default:
			fmt.Fprintf(&out, "%d: one of blocks [%d, %d)\n", b, found.Start, found.End)
		}
	}
	return out.String()
}
