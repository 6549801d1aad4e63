package engine

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// rowID names a row of feed data in the caches.
type rowID struct {
	feed  feedNumber
	index uint64
}

// nodeGroup holds the nodes of a complete subtree of nodeGroupSize blocks, as they
// stand in a row of kindNodeGroup.
type nodeGroup [groupNodes * nodeSize]byte

// caches are shared by all feeds of a store and bounded as a whole. What they
// hold is immutable. A nil cache is off.
type caches struct {
	nodes *lru.Cache[rowID, tree.Node]
	group *lru.Cache[rowID, *nodeGroup]
	pages *lru.Cache[rowID, *bitmap.Page]
	masks *lru.Cache[rowID, nodeMask]
}

// newCaches makes the caches. size counts nodes, a group as many as it holds; zero
// means the default, negative none at all.
func newCaches(size int) *caches {
	if size < 0 {
		return &caches{}
	}
	pages := size
	if size == 0 {
		size, pages = defaultNodeCache, defaultPageCache
	}
	return &caches{
		nodes: newLRU[tree.Node](size / 2),
		group: newLRU[*nodeGroup](size / 2 / groupNodes),
		pages: newLRU[*bitmap.Page](pages),
		masks: newLRU[nodeMask](pages),
	}
}

func newLRU[V any](size int) *lru.Cache[rowID, V] {
	c, err := lru.New[rowID, V](max(size, 1))
	if err != nil {
		panic(err) // only for a size below one
	}
	return c
}

func cached[V any](c *lru.Cache[rowID, V], id rowID) (v V, ok bool) {
	if c == nil {
		return v, false
	}
	return c.Get(id)
}

func keep[V any](c *lru.Cache[rowID, V], id rowID, v V) {
	if c != nil {
		c.Add(id, v)
	}
}

func forget[V any](c *lru.Cache[rowID, V], id rowID) {
	if c != nil {
		c.Remove(id)
	}
}
