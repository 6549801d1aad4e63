// Package parity keeps docs/parity.md honest: the table that says where each option, property, method and event of the
// JavaScript originals went, and which test shows it.
//
// # The table
//
// The document may say anything around its tables. A table counts when its header is
//
//	| JavaScript | Go | Test | Note |
//
// and each of its rows is:
//
//   - JavaScript: the original's name. It is unique in its section, which is everything up to the next heading.
//   - Go: the identifiers that offer it, each in backticks, separated by commas: the package's path inside the module, then
//     the name, for instance engine.Feed.Append, replicate/wire.Have, or engine.Options.ReadOnly for a field. A package that
//     the module does not have is looked up in the standard library. Or the word absent, for what is not built.
//   - Test: the tests that show it, each in backticks, as package path and name, for instance engine.TestFeedAppend or
//     engine.TestFeed/append. Examples and fuzz targets (their seeds run as tests) count as well. Empty when absent.
//   - Note: where the Go shape differs, and why; for absent rows, the topic that will bring it.
//
// # The check
//
// [Table.Check] finds every identifier that does not exist, with nothing but a parser, so that it is quick and sees the
// files of every platform. Given the outcomes of a test run it also finds each row with a test that did not run and pass.
// A test that was skipped is no failure unless reference peers are required: on a machine without Node.js the tests that
// need real peers cannot run.
package parity
