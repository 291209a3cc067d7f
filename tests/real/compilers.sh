# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# gcc on a large C file and g++ on a template-heavy one: the object files must be the same.

compilers_missing()
{
    command -v gcc >/dev/null || echo "gcc is not installed"
    command -v g++ >/dev/null || echo "g++ is not installed"
}

compilers_probe()
{
    probes "$(gcc -print-prog-name=cc1)" "$(g++ -print-prog-name=cc1plus)" \
        "$(gcc -print-prog-name=as)"
    under gcc -x c -c -o "$work/probe.o" /dev/null &&
        under g++ -x c++ -c -o "$work/probe.o" /dev/null
}

compilers_write_c()
{
    awk 'BEGIN {
        print "#include <stdio.h>\n#include <string.h>"
        print "struct node { struct node *next; long key; char name[32]; };"
        for (i = 0; i < 500; i++) {
            printf "static long f%d(struct node *n, long x)\n{\n    long sum = %d;\n", i, i
            printf "    for (struct node *p = n; p; p = p->next) {\n"
            printf "        switch ((p->key + x) %% 7) {\n"
            for (j = 0; j < 6; j++)
                printf "        case %d: sum += p->key * %d + (x ^ %d); break;\n", \
                       j, i + j, i * j + 3
            printf "        default: sum -= (long)strlen(p->name);\n        }\n    }\n"
            printf i ? "    return sum + (x > 0 ? f%d(n, x - 1) : 0);\n}\n" \
                     : "    return sum;\n}\n", i - 1
        }
        print "long all(struct node *n) { return f499(n, 20); }"
    }'
}

compilers_write_cc()
{
    cat <<'CC'
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>
template <unsigned N> struct chain {
    using type = std::tuple<std::integral_constant<unsigned, N>, typename chain<N - 1>::type>;
    static unsigned sum(const std::vector<unsigned> &v)
    {
        return v[N % v.size()] + chain<N - 1>::sum(v);
    }
};
template <> struct chain<0> {
    using type = std::tuple<>;
    static unsigned sum(const std::vector<unsigned> &) { return 0; }
};
template <class... T> struct shelf {
    std::map<std::string, std::variant<T...>> by_name;
    std::unordered_map<long, std::shared_ptr<std::variant<T...>>> by_number;
    template <class F> void each(F f)
    {
        for (auto &entry : by_name)
            std::visit(f, entry.second);
    }
};
template <int... I> long total(std::integer_sequence<int, I...>)
{
    return (0L + ... + (I * I));
}
CC
    awk 'BEGIN {
        for (i = 0; i < 6; i++) {
            printf "struct item%d {\n    long a[%d];\n", i, i + 1
            printf "    bool operator<(const item%d &o) const { return a[0] < o.a[0]; }\n};\n", i
            printf "long use%d(std::vector<item%d> &v, shelf<int, std::string, item%d> &s)\n{\n", \
                   i, i, i
            printf "    std::sort(v.begin(), v.end());\n"
            printf "    std::map<std::string, std::vector<item%d>> m;\n", i
            printf "    for (auto &x : v) m[std::to_string(x.a[0])].push_back(x);\n"
            printf "    long n = 0;\n    s.each([&n](auto &x) { n += sizeof(x); });\n"
            printf "    std::function<long(long)> f =\n"
            printf "        [&](long k) { return k ? f(k - 1) + n : (long)m.size(); };\n"
            printf "    return f(%d) + total(std::make_integer_sequence<int, %d>());\n}\n", \
                   i, 50 + i
        }
        print "unsigned all(const std::vector<unsigned> &v) { return chain<250>::sum(v); }"
        print "bool match(const std::string &s)"
        print "{ return std::regex_match(s, std::regex(\"(a|b)*c\")); }"
    }'
}

compilers_run()
{
    compilers_write_c >large.c
    compilers_write_cc >templates.cc
    rm -f large.o templates.o
    under timeout "$limit" gcc -std=gnu17 -O1 -g -c large.c -o large.o || return 1
    under timeout "$limit" g++ -std=gnu++17 -O1 -g -c templates.cc -o templates.o || return 1
    note "objects of $(wc -c <large.o) and $(wc -c <templates.o) bytes"
    sha256sum large.o templates.o
}
