# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# git: init, add, commit, gc, log, fsck on a repository made here, with dates of its own, so that
# all object names are known.

git_missing()
{
    command -v git >/dev/null || echo "git is not installed"
}

git_probe()
{
    probes git
    under git --version
}

git_write_files() # ROUND
{
    awk -v round="$1" 'BEGIN {
        for (file = 0; file < 100; file++) {
            name = "file" file ".txt"
            for (line = 0; line < 120; line++)
                print "line " line " of file " file " in round " (line % 9 == 0 ? round : 0) >name
            close(name)
        }
    }'
}

git_run()
{
    rm -rf repository
    mkdir repository && cd repository || return 1
    HOME=$PWD GIT_CONFIG_NOSYSTEM=1
    GIT_AUTHOR_NAME=author GIT_AUTHOR_EMAIL=a@example.org
    GIT_COMMITTER_NAME=committer GIT_COMMITTER_EMAIL=c@example.org
    export HOME GIT_CONFIG_NOSYSTEM
    export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
    under git init -q -b main . || return 1
    for round in 1 2 3 4 5 6; do
        git_write_files $round
        GIT_AUTHOR_DATE="2026-01-0${round}T00:00:00Z"
        GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
        export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
        under git add . || return 1
        under git commit -q -m "round $round" || return 1
    done
    under git gc -q --aggressive --prune=now || return 1
    under git fsck --full --strict || return 1
    under git log --stat --format='%H %an %s' || return 1
    under git log -p main~2..main | cksum
    under git ls-tree -r main
    under git blame file9.txt
    under git clone -q . copy && under git -C copy rev-parse HEAD
}
