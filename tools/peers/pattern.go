package peers

// Pattern returns n bytes that drivers can make too, so that content need not be sent to be compared: byte i is
// (start + i) mod 251. The driver commands fill and create make block i of size n as Pattern(i, n); the command pump
// writes Pattern(0, n).
func Pattern(start uint64, n int) []byte {
	b := make([]byte, n)
	v := byte(start % 251)
	for i := range b {
		b[i] = v
		if v++; v == 251 {
			v = 0
		}
	}
	return b
}
