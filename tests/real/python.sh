# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# python3 runs a part of its own test suite, with every object from malloc (PYTHONMALLOC=malloc).

python_tests="test_json test_dict test_threading test_gc"
# Its barriers allow threads 0.3 s to start, which a busy machine does not keep.
python_unsure="-i test_default_timeout -i test.test_threading.BarrierTests.*"

# The first interpreter that has the test package (Debian keeps it in libpython3.N-testsuite).
python_find()
{
    for python in "${PYTHON3:-}" /usr/bin/python3 python3 python3.11 python3.12 python3.13 \
        python3.10 python3.9; do
        [ -n "$python" ] || continue
        "$python" -c '
import sys, test.support, test.test_json, test.test_threading
print(sys.executable)' 2>/dev/null && return
    done
}

python_missing()
{
    [ -n "$(python_find)" ] ||
        echo "no python3 here has the test package (Debian: libpython3.11-testsuite)"
}

python_probe()
{
    python=$(python_find)
    probes "$python"
    under "$python" -c 0
}

python_run()
{
    python=$(python_find)
    PYTHONMALLOC=malloc PYTHONHASHSEED=0
    export PYTHONMALLOC PYTHONHASHSEED
    # shellcheck disable=SC2086 # a list of names
    under timeout "$limit" "$python" -m test -v $python_unsure $python_tests >python.out 2>&1
    status=$?
    # A test that fails also without the library (2) is the machine's; the comparison tells.
    if [ $status -ne 0 ] && [ $status -ne 2 ]; then
        tail -n 20 python.out >&2
        return $status
    fi
    grep -E '^(FAIL|ERROR):' python.out | while read -r line; do note "$line"; done
    note "$("$python" -V), $(grep -c '\.\.\. ok$' python.out) tests passed"
    # Each test's verdict, without times and addresses.
    grep -E '^test_[A-Za-z0-9_]+ \(.* \.\.\. (ok|skipped|FAIL|ERROR)' python.out | sort
    grep -E '^(Ran [0-9]+ tests|Result:)' python.out | sed 's/ in .*//'
}
