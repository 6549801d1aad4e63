package engine

import (
	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// backend is where a feed keeps what it holds: the rows of a store, or the six
// files of hypercore 9. It reads rows and commits changes; what they mean is the
// feed's business. Reads may run at any time, commits one after the other.
type backend interface {
	tree.Reader // the nodes that are known

	// known is Has for the leader of the feed's writes, made for nodes that are not
	// stored.
	known(i tree.Index) (bool, error)
	// readHead returns the head of the last commit.
	readHead() (*head, error)
	// appendBlock appends the bytes of a block that is present according to h.
	appendBlock(dst []byte, h *head, index uint64) ([]byte, error)
	// signature returns the first signature at or behind slot, and its slot. The
	// error matches tree.ErrNoSignature when there is none.
	signature(slot uint64) (uint64, tree.Signature, error)
	// page returns a page of the block map; nil when it is empty.
	page(number uint64) (*bitmap.Page, error)
	// nextPage returns the number of the first page at or behind number that is not
	// empty.
	nextPage(number uint64) (uint64, bool, error)
	// commit makes the change durable as far as the policy promises, all of it or
	// nothing.
	commit(old *head, c *change) error
	// secret returns the secret key, ok false when it is not here.
	secret() (sk tree.SecretKey, ok bool, err error)
	// synced reports whether what commit has answered is on stable storage.
	synced() bool
	// close releases what the backend holds for this feed.
	close() error
}

// change is the only way to write a feed: everything that one append, download,
// put, clear or import alters.
type change struct {
	head   *head // after the change
	blocks []placedBlock
	nodes  []tree.Node
	// corrected are nodes that are stored already, with another size.
	corrected  []tree.Node
	signatures []signedLength
	// set and cleared are what becomes present and what is freed, in ascending
	// order.
	set, cleared []bitmap.Run
	// span is the range of which cleared are the blocks that were present. Such a
	// change holds nothing else.
	span bitmap.Run
	// pages are the pages of the block map after the change; nil means empty.
	pages map[uint64]*bitmap.Page
	// appended is set when the blocks are appended at the end: old length and on.
	appended bool
}

// placedBlock is a block with its place.
type placedBlock struct {
	index  uint64
	offset uint64 // of its first byte within the feed
	data   []byte
}

// signedLength is a signature over the first length blocks.
type signedLength struct {
	length    uint64
	signature tree.Signature
}
