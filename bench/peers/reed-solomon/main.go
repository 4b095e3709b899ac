// reed-solomon measures the Go library that kcp-go encodes and decodes with: Debian's klauspost/reedsolomon.
//
//	CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode go build -o reed-solomon .
//
// For each line on stdin, `encode D P SIZE MS` or `decode D P SIZE MS`, it does that for MS and prints the ns that one
// group of D data shards of SIZE bytes took. Decoding rebuilds as many data shards as parity can.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"runtime"
	"time"

	"github.com/klauspost/reedsolomon"
)

// Groups between two looks at the clock.
const batch = 50

func main() {
	// One session of kcp-go codes on one goroutine at a time.
	runtime.GOMAXPROCS(1)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var what string
		var d, p, size, ms int
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %d %d %d", &what, &d, &p, &size, &ms); err != nil {
			log.Fatal(err)
		}
		code, err := reedsolomon.New(d, p)
		if err != nil {
			log.Fatal(err)
		}
		shards := make([][]byte, d+p)
		for i := range shards {
			shards[i] = make([]byte, size)
			for k := range shards[i] {
				shards[i][k] = byte(i*31 + k*7 + k>>8*13)
			}
		}
		lost := p
		if lost > d {
			lost = d
		}
		step := func() error { return code.Encode(shards) }
		if what == "decode" {
			if err := code.Encode(shards); err != nil {
				log.Fatal(err)
			}
			step = func() error {
				for i := 0; i < lost; i++ {
					shards[i] = shards[i][:0]
				}
				return code.ReconstructData(shards)
			}
		}
		groups := 0
		began := time.Now()
		for time.Since(began) < time.Duration(ms)*time.Millisecond {
			for i := 0; i < batch; i++ {
				if err := step(); err != nil {
					log.Fatal(err)
				}
			}
			groups += batch
		}
		fmt.Println(float64(time.Since(began).Nanoseconds()) / float64(groups))
	}
}
