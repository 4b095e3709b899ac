// Go's snappy, the one in kcptun, as a filter: "encode" writes standard input in Snappy's framing, flushed after
// every 4104 bytes as kcptun does; "decode" takes that apart again; "block" and "unblock" do the same with one block.
package main

import (
	"io"
	"log"
	"os"

	"github.com/golang/snappy"
)

func main() {
	var err error
	switch os.Args[1] {
	case "encode":
		err = encode()
	case "decode":
		_, err = io.Copy(os.Stdout, snappy.NewReader(os.Stdin))
	case "block":
		err = whole(func(in []byte) ([]byte, error) { return snappy.Encode(nil, in), nil })
	case "unblock":
		err = whole(func(in []byte) ([]byte, error) { return snappy.Decode(nil, in) })
	}
	if err != nil {
		log.Fatal(err)
	}
}

func encode() error {
	writer := snappy.NewBufferedWriter(os.Stdout)
	frame := make([]byte, 4104)
	for {
		n, err := io.ReadFull(os.Stdin, frame)
		if n > 0 {
			if _, err := writer.Write(frame[:n]); err != nil {
				return err
			}
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		if err != nil {
			return writer.Close()
		}
	}
}

func whole(change func([]byte) ([]byte, error)) error {
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	out, err := change(in)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(out)
	return err
}
