"""What tests share: builders, fakes and harnesses, tested themselves."""
