package main

import "runtime"

func runCollections(count int) {
	for ; count > 0; count-- {
		runtime.GC()
	}
}
