"""The notifier's store: tables, migrations, and one module per question asked of them."""
