// Package fuzz has the fuzz targets that cross packages: lists of operations
// against a model, hostile directories and proofs against a store. Those of single
// decoders stand beside them.
package fuzz
