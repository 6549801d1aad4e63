// Package bitmap keeps sets of block numbers: which blocks of a feed are here,
// which a peer has, which are wanted.
package bitmap
