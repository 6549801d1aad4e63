package sleep

import (
	"encoding/binary"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Names of the six storages of a feed.
const (
	DataFile       = "data"
	TreeFile       = "tree"
	SignaturesFile = "signatures"
	BitfieldFile   = "bitfield"
	KeyFile        = "key"
	SecretKeyFile  = "secret_key"
)

// FileNames lists the six storages.
func FileNames() []string {
	return []string{DataFile, TreeFile, SignaturesFile, BitfieldFile, KeyFile, SecretKeyFile}
}

// Sizes in bytes.
const (
	// HeaderSize is the length of the header of tree, signatures and bitfield.
	HeaderSize = 32
	// NodeSize is the length of a node in the tree.
	NodeSize = tree.HashSize + 8
	// SignatureSize is the length of a slot in the signatures.
	SignatureSize = tree.SignatureSize
	// DefaultIndexSize is the length of the index in a page of the bitfield.
	DefaultIndexSize = bitmap.FileIndexSize
	// OldIndexSize is that of older feeds; the header tells.
	OldIndexSize = bitmap.OldFileIndexSize

	// dataBits and treeBits are the first two parts of a page of the bitfield;
	// the index follows.
	dataBits = bitmap.FilePageBlocks / 8
	treeBits = bitmap.FilePageNodes / 8
	pageBits = dataBits + treeBits
)

// Types of headers, byte 3.
const (
	typeBitfield = iota
	typeSignatures
	typeTree
)

var magic = [3]byte{0x05, 0x02, 0x57}

// appendHeader appends the 32 bytes of a header.
func appendHeader(dst []byte, kind byte, entrySize uint16, algorithm string) []byte {
	var h [HeaderSize]byte
	copy(h[:], magic[:])
	h[3] = kind
	binary.BigEndian.PutUint16(h[5:], entrySize)
	h[7] = byte(len(algorithm))
	copy(h[8:], algorithm)
	return append(dst, h[:]...)
}

// AppendTreeHeader appends the header of a tree to dst.
func AppendTreeHeader(dst []byte) []byte { return appendHeader(dst, typeTree, NodeSize, "BLAKE2b") }

// AppendSignaturesHeader appends the header of signatures to dst.
func AppendSignaturesHeader(dst []byte) []byte {
	return appendHeader(dst, typeSignatures, SignatureSize, "Ed25519")
}

// AppendBitfieldHeader appends the header of a bitfield to dst. The index size
// is DefaultIndexSize or, in older feeds, OldIndexSize.
func AppendBitfieldHeader(dst []byte, indexSize int) []byte {
	return appendHeader(dst, typeBitfield, uint16(pageBits+indexSize), "")
}

// NodeOffset returns where node i starts in the tree.
func NodeOffset(i tree.Index) int64 { return HeaderSize + NodeSize*int64(i) }

// SignatureOffset returns where a slot starts in the signatures.
func SignatureOffset(slot uint64) int64 { return HeaderSize + SignatureSize*int64(slot) }

// PageOffset returns where a page starts in the bitfield.
func PageOffset(page uint64, indexSize int) int64 {
	return HeaderSize + int64(page)*int64(pageBits+indexSize)
}

// AppendNode appends the 40 bytes of a node to dst.
func AppendNode(dst []byte, n tree.Node) []byte {
	dst = append(dst, n.Hash[:]...)
	return binary.BigEndian.AppendUint64(dst, n.Size)
}

// ParseNode decodes the 40 bytes of node i; ok is false if it is absent, which
// is all zeros.
func ParseNode(i tree.Index, b *[NodeSize]byte) (n tree.Node, ok bool) {
	n = tree.Node{Index: i, Hash: tree.Hash(b[:tree.HashSize]), Size: binary.BigEndian.Uint64(b[tree.HashSize:])}
	return n, n.Hash != tree.Hash{} || n.Size != 0
}
