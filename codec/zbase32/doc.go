// Package zbase32 is the text form of keys that people see: z-base-32, as the npm
// package z32 writes it. Each character is five bits, the highest first; the bits that
// the last one has too many are zero. There is no padding.
//
//	value      0         1         2         3
//	           01234567890123456789012345678901
//	character  ybndrfg8ejkmcpqxot1uwisza345h769
//
// A key of 32 bytes has 52 characters, the last of which is y or o. There is
// exactly one text for each key: unlike the original, this package refuses
// upper case and set bits behind the end, which are typing errors.
package zbase32
