// The one door to Catch2: Debian 12 has v2, Debian 13 and WrapDB have v3.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
