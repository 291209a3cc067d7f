# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# g++ on a file of standard headers and templates. It ends: there is no rest.
cat >"$work/heavy.cc" <<'END'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>
int main()
{
    std::map<std::string, std::vector<std::function<int(int)>>> table;
    std::unordered_map<std::string, std::map<int, std::string>> other;
    std::regex word("([a-z]+)=([0-9]+)");
    std::string line;
    std::smatch match;
    while (std::getline(std::cin, line))
        if (std::regex_match(line, match, word))
            table[match[1]].push_back([n = std::stoi(match[2])](int i) { return i + n; });
    for (auto &[name, functions] : table)
        other[name][functions.front()(1)] = name;
    std::cout << other.size() << '\n';
}
END
under g++ -O"${1:-1}" -c -o "$work/heavy.o" "$work/heavy.cc"
