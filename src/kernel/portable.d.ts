/** The names that AssemblyScript gives to numbers, so that the kernel's sources are TypeScript too. */
declare type i32 = number
declare type f64 = number
