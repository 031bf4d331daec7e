# What is done here often; every recipe is a plain command. `just` lists them.

_default:
    @just --list --unsorted

# The binary, ./lb
build:
    go build -o lb .

# All tests
test:
    go test ./...

# What CI runs
check:
    .ci/run

# What runs on the fake kernel, with invariants on
sim:
    go test -tags invariants -count=1 ./loop/looptest ./proxy

# One fuzz target by its name, for a minute: just fuzz FuzzParse
fuzz NAME:
    go test -run '^$' -fuzz '^{{ NAME }}$' -fuzztime 60s "$(grep -rl --include='*_test.go' 'func {{ NAME }}(' . | head -n 1 | xargs dirname)"

# All Go benchmarks
bench:
    go test -run '^$' -bench . -benchmem ./...

# The demo: two backends and lb before them
demo:
    go run . serve --demo
